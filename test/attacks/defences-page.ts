/** Defences of the operators' page. */

import type { Defence } from './defence.ts'

export const pageDefences: readonly Defence[] = [
  {
    known: 'CSRF, login CSRF',
    attack: 'A page of a stranger makes an operator’s browser fail mail, or log in as somebody else',
    test: [
      'test/gate/page-forgery.test.ts',
      'an act needs an Origin of ours, the token and JSON: none of them can be left out',
    ],
    source: 'src/web/page/page.ts',
    mutation: [['schemes.some((scheme) => origin === `${scheme}://${host}`)', 'true']],
  },
  {
    known: 'CSRF, where a browser sends no Origin',
    attack: 'An act comes from our own origin, and from nobody who has seen the page',
    test: [
      'test/gate/page-forgery.test.ts',
      'an act needs an Origin of ours, the token and JSON: none of them can be left out',
    ],
    source: 'src/web/page/sessions.ts',
    mutation: [['  return timingSafeEqual(digest(a), digest(b))\n', '  return true\n']],
  },
  {
    known: 'Broken access control',
    attack: 'Who may only look asks for what the page does not show him: to fail mail',
    test: ['test/gate/page-forgery.test.ts', 'who may look may not act'],
    source: 'src/web/page/page.ts',
    mutation: [
      [
        '  return terms.authorization !== undefined || terms.operators.includes(user.name)\n',
        '  return true\n',
      ],
    ],
  },
  {
    known: 'Arguments that become options',
    attack:
      'A domain called `all`, or an option in its place, makes another command of what an operator presses',
    test: ['test/gate/page-forgery.test.ts', 'no name becomes another word of a command'],
    source: 'src/web/page/acts.ts',
    mutation: [[" || domain.toLowerCase() === 'all'", '']],
  },
  {
    known: 'Stolen sessions',
    attack: 'A cookie is used with another certificate than it was given for',
    test: [
      'test/gate/page-forgery.test.ts',
      'the certificate is the login, the session is good with it and with no other',
    ],
    source: 'src/web/page/sessions.ts',
    mutation: [[' || entry.certificate !== certificate', '']],
  },
  {
    known: 'Stolen sessions, cookies that know no ports',
    attack: 'Another server on the same host is sent the cookie, and looks at what the operator may see',
    test: [
      'test/gate/page-forgery.test.ts',
      'the cookie alone, which whatever listens on another port of this host is sent, opens nothing',
    ],
    source: 'src/web/page/page.ts',
    mutation: [['session === undefined || !hasToken(asked, session)', 'session === undefined']],
  },
  {
    known: 'Sessions that outlive their login',
    attack: 'Who was taken out of the users goes on looking and acting for half a day',
    test: ['test/gate/page.test.ts', 'who is taken out of the users, or gets another password, is out'],
    source: 'src/web/page/page.ts',
    mutation: [['    if (stamp === session.user.stamp) return session\n', '    return session\n']],
  },
  {
    known: 'Passwords that are guessed',
    attack: 'One address tries passwords without end',
    test: [
      'src/operator/page-logins.test.ts',
      'after so many failures a right password is wrong too, until the window is over; other addresses are not concerned',
    ],
    source: 'src/operator/page-logins.ts',
    mutation: [[' && this.#failures.count(login.client) < failures', '']],
  },
  {
    known: 'CVE-2021-42574, in a browser',
    attack: 'The name of a certificate or a sender turns text round where an operator looks at it',
    test: ['src/web/page/page-parts.test.ts', 'in JSON of the page what could deceive is written out'],
    source: 'src/web/page/http.ts',
    mutation: [["typeof value === 'string' ? printable(value) : value", 'value']],
  },
]

/** Rows of `defences.ts`: signatures and authors of messages, and mail on its way out. */

import type { Defence } from './defence.ts'

export const mailDefences: readonly Defence[] = [
  {
    known: 'RFC 6376 §8.2',
    attack: 'A signature with l= leaves the end of the body open, and somebody writes there',
    test: ['src/authenticity/verify.test.ts', 'a signature of a part of the body does not pass'],
    source: 'src/authenticity/verify.ts',
    mutation: [
      ["const partial = found === 'pass' && (signature.status.underSized ?? 0) > 0", 'const partial = false'],
    ],
  },
  {
    known: 'RFC 6376 §8.15',
    attack: 'A second From or Subject is put on a message that we signed, and readers show that one',
    test: [
      'src/authenticity/sign.test.ts',
      'what is signed cannot be changed, and what is oversigned cannot be added',
    ],
    source: 'src/authenticity/sign.ts',
    mutation: [['    if (oversigned.includes(wanted)) names.push(wanted)\n', '']],
  },
  {
    known: 'DMARC by a slow name',
    attack:
      'A forger signs with a name whose server never answers, so that a refusal becomes a temporary error',
    test: [
      'src/authenticity/verify.test.ts',
      'a server that is silent is a temporary error, of DMARC only where it is the author’s',
    ],
    source: 'src/authenticity/verify.ts',
    mutation: [['unanswered.some((domain) => related(domain, author))', 'unanswered.length > 0']],
  },
  {
    known: 'Canonical forms in quadratic time',
    attack: 'A signed message of one line costs the square of its size',
    test: ['src/authenticity/verify.test.ts', 'a line without end is not gathered: nothing signed passes'],
    source: 'src/authenticity/lines.ts',
    mutation: [['const MAX_LINE = 256 * 1024', 'const MAX_LINE = Infinity']],
  },
  {
    known: 'Ambiguous authors (Chen, Paxson and Jiang 2020)',
    attack:
      'From has two addresses in brackets, or a comment in its domain: DMARC passes for one, people see the other',
    test: [
      'src/authenticity/verify.test.ts',
      'a From field that readers may take for another’s is nobody’s, whoever vouches for it',
    ],
    source: 'src/authenticity/verify.ts',
    mutation: [['(author === undefined || author !== named)', 'author === undefined']],
  },
  {
    known: 'Addresses in quadratic time',
    attack: 'A From field with a route that never ends holds the process for minutes',
    test: ['src/mail/address-list.test.ts', 'any text is read in one pass'],
    source: 'src/mail/address-list.ts',
  },
  {
    known: 'Reports and structures in quadratic time',
    attack:
      'A report that comes back has an address full of blanks, or levels that are gone over again and again',
    test: [
      'src/mail/delivery-report.test.ts',
      'no report takes time that grows faster than its size, or more than its start',
    ],
    source: 'src/mail/delivery-report.ts',
    mutation: [['const MAX_BODY = 256 * 1024', 'const MAX_BODY = Infinity']],
  },
  {
    known: 'CVE-2020-7247 (OpenSMTPD), CVE-2019-10149 (Exim)',
    attack: 'An address of the envelope holds what a shell would run, or an option, on its way to a program',
    test: [
      'src/delivery/pipe/pipe.test.ts',
      'a local part such as ${JSON.stringify(local)} is never put into a command',
    ],
    source: 'src/delivery/pipe/command-line.ts',
    mutation: [
      ['return /^[A-Za-z0-9_][A-Za-z0-9._+=-]{0,63}$/.test(local) ? local : undefined', 'return local'],
    ],
  },
  {
    known: 'Half a message for a whole one',
    attack: 'A program is ended with the server, or stopped, and says that all is well',
    test: [
      'src/delivery/pipe/pipe.test.ts',
      'one that says that all is well when it is told to end is not believed',
    ],
    source: 'src/delivery/pipe/run-program.ts',
    mutation: [["if (this.#why === 'timed-out') return { kind: 'timed-out', output }", '']],
  },
  {
    known: 'Replayed and forwarded webhooks',
    attack: 'A signed request is sent again later, or for somebody else',
    test: [
      'src/delivery/webhook/webhook.test.ts',
      'a request with another key, time, envelope or message is not signed',
    ],
    source: 'src/delivery/webhook/signature.ts',
  },
]

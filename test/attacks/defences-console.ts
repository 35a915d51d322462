/** Defences of the console: who is in, what he may do, and what he keeps others from. */

import type { Defence } from './defence.ts'

export const consoleDefences: readonly Defence[] = [
  {
    known: 'Broken access control',
    attack: 'What is masked for the accounts makes a command look like one that a role allows',
    test: [
      'test/attacks/console.test.ts',
      'a rule reads the command that runs, accounts have it without secrets; a trace ends with the login',
    ],
    source: 'src/console/client.ts',
    mutation: [['admit(operator, command, shown)', 'admit(operator, shown, shown)']],
  },
  {
    known: 'Sessions that outlive their login',
    attack: 'Who was taken out of the users keeps his connection, and with it everything that he could do',
    test: [
      'test/gate/console-login.test.ts',
      'who is taken out of the users, or gets another password, is out with his next command; so is a certificate',
    ],
    source: 'src/operator/console-door.ts',
    mutation: [['    if (proof === undefined) return true\n', '    return true\n']],
  },
  {
    known: 'ReDoS',
    attack:
      'An operator types what the pattern of his role searches for ever, and no mail is served meanwhile',
    test: [
      'src/console/authorization.test.ts',
      'a command that makes a pattern search for ever holds nobody up, and is not allowed',
    ],
    source: 'src/console/authorization.ts',
    mutation: [['{ timeout: PATTERNS_MS }', '{}']],
  },
  {
    known: 'Exhaustion of connections',
    attack: 'One login takes all places of the console, and whoever would stop it finds none',
    test: [
      'test/attacks/console.test.ts',
      'who logs in takes one of those that there are, and no user takes all',
    ],
    source: 'src/console/client.ts',
    mutation: [[' && !this.#options.admits(end.operator)', ' && false']],
  },
  {
    known: 'Slowloris',
    attack: 'One address holds every connection of HTTP, or every handshake of the console',
    test: [
      'test/attacks/console.test.ts',
      'idle connections of one address leave room for others: of the console, before a handshake, and of HTTP',
    ],
    source: 'src/console/waiting-room.ts',
    mutation: [['if (own.length > this.#perNetwork) return own', '']],
  },
  {
    known: 'Slowloris',
    attack: 'Some addresses hold every place of those who have to log in, and no operator gets that far',
    test: [
      'test/attacks/console.test.ts',
      'a flood from some addresses keeps no operator out, and from where one is expected it displaces nobody',
    ],
    source: 'src/console/waiting-room.ts',
    mutation: [['toSorted((a, b) => b.length - a.length)[0] ?? []', 'slice(-1)[0] ?? []']],
  },
  {
    known: 'Stale privileges',
    attack: 'An operator whose user or group the database no longer has goes on with what it said before',
    test: [
      'test/gate/auth-ds.test.ts',
      'SQLite: an operator is who the database knows now; what it said before counts for nobody',
    ],
    source: 'src/operator/groups.ts',
    mutation: [['no_cache: true', 'no_cache: false']],
  },
  {
    known: 'Account lockout',
    attack: 'Who guesses passwords on the UNIX socket of the console shuts it for every other user',
    test: [
      'test/gate/console-login.test.ts',
      'whoever guesses there shuts the door for his own user of the system and for those who show none',
    ],
    source: 'src/operator/console-door.ts',
    mutation: [['    this.#counted = `uid ${uid}`\n', '']],
  },
  {
    known: 'Terminal escape injection',
    attack: 'Whatever sits on the socket in place of the gate writes to the terminal of who asks it',
    test: [
      'test/gate/console-program.test.ts',
      'what it sends reaches the terminal without its power, and as JSON only where it is some',
    ],
    source: 'src/cli/console/console.ts',
    mutation: [['escapedJson(piece) : printableLines(piece)', 'escapedJson(piece) : piece']],
  },
  {
    known: 'NTLM relay, and its kin',
    attack: 'To whose socket an operator talks, he is that operator at the gate: he passes on what it asks',
    test: [
      'test/gate/console-login.test.ts',
      'whoever passes on what the gate asks has no name from those who talk to him',
    ],
    source: 'src/operator/system-user.ts',
    mutation: [['return wellFormed && path.endsWith(digestOf(socket))', 'return wellFormed']],
  },
  {
    known: 'Sessions that outlive a password',
    attack: 'Who has lost his password logs in with it while it is changed, and stays in with the new one',
    test: [
      'src/operator/page-logins.test.ts',
      'a password that is changed while it is looked at gives a session that is over',
    ],
    source: 'src/operator/stamped-store.ts',
    mutation: [
      [
        '    await this.#take(attempt.user, attempt.client)\n    return await this.#store.verify(attempt)\n',
        '    const right = await this.#store.verify(attempt)\n    await this.#take(attempt.user, attempt.client)\n    return right\n',
      ],
    ],
  },
  {
    known: 'Log truncation',
    attack: 'A certificate with long names pushes who has logged in out of the record of a rejection',
    test: [
      'src/logs/json/line.test.ts',
      'long values of a context, which a client can bring along, hide no other',
    ],
    source: 'src/logs/json/context.ts',
    mutation: [['.toSorted((a, b) => a.octets - b.octets || a.at - b.at)', '']],
  },
  {
    known: 'Flooding of logs',
    attack:
      'Logins that fail in turn for two reasons fill the panic log, where nothing else is found any more',
    test: ['src/operator/page-logins.test.ts', 'alarms that take turns are told once each in a while'],
    source: 'src/events/quiet-alarms.ts',
    mutation: [['    if (this.#told.has(text)) return\n', '']],
  },
]

/** Rows of `defences.ts`: certificates and the names in them, partners, and what clients can fill. */

import type { Defence } from './defence.ts'

export const identityDefences: readonly Defence[] = [
  {
    known: 'CVE-2023-2422 (Keycloak)',
    attack: 'Identity is read from another certificate of the chain than the leaf',
    test: ['test/attacks/certificates.test.ts', 'identity is the leaf’s, whatever certificates come along'],
    source: 'src/tls/presented.ts',
    mutation: [['leaf: memory.certificateOf(der), sent: [],', 'leaf: shownBy(socket).at(-1), sent: [],']],
  },
  {
    known: 'Polyglots; Node’s X509Certificate, which looks for PEM in DER',
    attack: 'A certificate carries the PEM of another one in a name: one is verified, the other is believed',
    test: ['test/attacks/certificate-in-certificate.test.ts', 'in ${where}: it is nobody but itself'],
    source: 'src/tls/x509.ts',
    mutation: [
      ["new X509Certificate(toPem('CERTIFICATE', der))", 'new X509Certificate(der)'],
      [
        "  if (!certificate.raw.equals(der)) throw new MalformedCertificate('it reads as another certificate')\n",
        '',
      ],
    ],
  },
  {
    known: 'CVE-2019-3814 (Dovecot)',
    attack: 'A certificate without the name that is looked for counts as any name',
    test: [
      'test/attacks/certificates.test.ts',
      'a certificate without CN and alternative names verifies and names nobody',
    ],
    source: 'src/tls/context-keys.ts',
    mutation: [["if (value !== '') entries.set(key, value)", 'entries.set(key, value)']],
  },
  {
    known: 'CVE-2009-4565 (Sendmail) and its kin',
    attack:
      'NUL, CR LF, ESC and bidirectional characters in a name: cut off, injected into a reply, log or header',
    test: ['src/tls/certificate.test.ts', '${what} can start no line and end no field'],
    source: 'src/tls/names.ts',
    mutation: [['return !/[\\p{C}\\p{Z}]/u.test(String.fromCodePoint(character))', 'return true']],
  },
  {
    known: 'CVE-2009-4565, C0 controls',
    attack: 'A line end in a CN starts a line of ours',
    test: ['src/tls/certificate.test.ts', '${what} can start no line and end no field'],
    source: 'src/tls/names.ts',
    mutation: [['if (character < 0x7f) return character >= 0x20', 'if (character < 0x7f) return true']],
  },
  {
    known: 'CVE-2009-4565, end to end',
    attack: 'The same names, seen by a client in replies, by an operator in logs and by a reader in headers',
    test: [
      'test/attacks/certificates.test.ts',
      '${what}, in subject and alternative names of a certificate that verifies',
    ],
    source: 'src/tls/names.ts',
    mutation: [
      ['if (character < 0x7f) return character >= 0x20', 'if (character < 0x7f) return true'],
      [
        'return text.replace(/[\\x00-\\x1f\\x7f]/g, (char) =>',
        'return text.replace(/[^\\s\\S]/g, (char) =>',
        'src/smtp/xdumpcontext.ts',
      ],
    ],
  },
  {
    known: 'Reply injection',
    attack: 'A text with a line end, from a certificate or a script, makes a reply of its own',
    test: ['test/fuzz/reply.fuzz.ts', 'a reply is one reply with its own code, whatever its text holds'],
    source: 'src/wire/reply.ts',
    mutation: [['split(/\\r?\\n/).map(printable)', 'split(/\\r?\\n/)']],
  },
  {
    known: 'CVE-2009-4565, in metrics',
    attack: 'Issuers with line ends and quotes, and issuers without number, in what is collected',
    test: ['test/attacks/metrics-names.test.ts', 'hostile issuers and issuers without number'],
    source: 'src/web/bounded-labels.ts',
    mutation: [["    if (this.#known.size >= this.#limit) return 'other'\n", '']],
  },
  {
    known: 'Pipelined requests of HTTP',
    attack: 'A hundred requests in one segment: each of them is worked for, and each script runs',
    test: ['test/attacks/http.test.ts', 'a hundred requests in one segment are answered once'],
    source: 'src/web/server.ts',
    mutation: [['    if (this.#asked.has(request.socket)) return\n', '']],
  },
  {
    known: 'CVE-2018-5702 (Transmission), DNS rebinding',
    attack: 'A page of a stranger, whose name leads to this machine by now, reads what is answered here',
    test: [
      'test/gate/metrics.test.ts',
      'who asks by a name that is not ours is a page of a stranger, and gets nothing',
    ],
    source: 'src/web/host-names.ts',
    mutation: [
      ["  return names === 'any' || hosts.every((host) => isKnown(host, names))\n", '  return true\n'],
    ],
  },
  {
    known: 'CVE-2009-4565, on a terminal',
    attack: 'Escape sequences in a certificate or a greeting reach the operator’s console',
    test: [
      'src/console/words-and-render.test.ts',
      'nothing that a terminal would act on comes through, in text or JSON',
    ],
    source: 'src/console/render.ts',
    mutation: [['const UNSEEN = /[\\p{Cc}\\p{Cf}', 'const UNSEEN = /[']],
  },
  {
    known: 'Tables that clients fill',
    attack: 'One client pushes everybody else out of the report of TLS_Verify_Mode_Shadow',
    test: ['src/logs/decisions.test.ts', 'one client with certificates without number pushes nobody out'],
    source: 'src/logs/shadow-table.ts',
    mutation: [['alone(a) - alone(b) || ', '']],
  },
  {
    known: 'CVE-2009-4565, in records',
    attack: 'A name breaks the line of a decision record',
    test: ['test/gate/decisions.test.ts', 'no name in a certificate can break a line, a value or a terminal'],
    source: 'src/tls/names.ts',
    mutation: [['return !/[\\p{C}\\p{Z}]/u.test(String.fromCodePoint(character))', 'return true']],
  },
  {
    known: 'CVE-2023-33201 (Bouncy Castle), CVE-2021-44531 (Node)',
    attack: 'Names of a certificate are taken as patterns, lists or queries where partners are looked up',
    test: [
      'src/tls/partners/partners.test.ts',
      'alternative names with NUL, wildcards, dots, blanks, line ends, lists',
    ],
    source: 'src/tls/partners/partners.ts',
    mutation: [['values.has(value)', '[...values].some((each) => value.includes(each))']],
  },
  {
    known: 'Policy’s no',
    attack: 'A certificate that policy does not accept is a partner’s all the same',
    test: ['test/gate/partners.test.ts', 'a certificate that policy does not accept makes nobody a partner'],
    source: 'src/smtp/starttls.ts',
    mutation: [
      ['findPartner(session, judged, secure)', 'findPartner(session, secure.facts, secure)'],
      [
        'return this.#partner?.peer === this.peer ? this.#partner : undefined',
        'return this.#partner',
        'src/smtp/session-state.ts',
      ],
    ],
  },
  {
    known: 'Grants that outlive their grounds',
    attack: 'A partner’s connection goes on as that of another client, and keeps what was granted',
    test: ['test/gate/partners.test.ts', 'when a proxy names another client, and stays gone'],
    source: 'src/smtp/session-state.ts',
    mutation: [
      ['return this.#partner?.peer === this.peer ? this.#partner : undefined', 'return this.#partner'],
    ],
  },
  {
    known: 'Domains of others',
    attack: 'Mail in the name of a partner’s domain from whoever has logged in, or from another partner',
    test: [
      'test/gate/partners.test.ts',
      'clear text and a login do not open a domain that is a partner’s alone',
    ],
    source: 'src/smtp/partner.ts',
    mutation: [['if (owner !== undefined && owner !== partner?.name)', 'if (owner === null)']],
  },
  {
    known: 'Reports that weigh in',
    attack: 'A shadow mode changes what becomes of a client',
    test: ['test/gate/decisions.test.ts', 'a shadow mode changes nothing for clients'],
    source: 'src/tls/trust.ts',
    mutation: [
      [
        '    options.tls_client_ocsp_mode,\n',
        '    options.tls_client_ocsp_mode,\n    options.tls_verify_mode_shadow,\n',
      ],
    ],
  },
  {
    known: 'CVE-2023-2422, where keys are pinned',
    attack: 'A pin is compared with another certificate than the one that was verified',
    test: ['src/tls/partners/partners.test.ts', 'a leaf that is not the peer’s certificate is nobody’s'],
    source: 'src/tls/partners/partners.ts',
    mutation: [['    if (sha256(leaf.raw) !== facts.fingerprint) return UNKNOWN\n', '']],
  },
  {
    known: 'CVE-2021-44532 (Node)',
    attack: 'Two names that differ read the same once they are text',
    test: ['src/tls/certificate.test.ts', 'different names never read the same'],
    source: 'src/tls/names.ts',
    mutation: [["  if (unit.character === 0x5c) return '\\\\\\\\'\n", '']],
  },
  {
    known: 'CVE-2021-44533, CVE-2022-21824 (Node)',
    attack: 'An alternative name that holds the text of others, where a printable rendering is taken apart',
    test: ['src/tls/certificate.test.ts', 'alternative names are words of printable ASCII'],
    source: 'src/tls/certificate.ts',
    mutation: [
      [
        'target.push(tag === 0x87 ? addressText(content) : escapeWord(tag === 0x82 ? lower(content) : content))',
        "target.push(tag === 0x87 ? addressText(content) : content.toString('latin1'))",
      ],
    ],
  },
  {
    known: 'CVE-2025-61727 (Go), by address',
    attack: 'A CA that name constraints keep from an IPv4 address writes it mapped into IPv6',
    test: ['src/tls/certificate.test.ts', 'alternative names are words of printable ASCII'],
    source: 'src/tls/certificate.ts',
    mutation: [
      [
        '  if (bytes.length !== 16) return',
        "  if (bytes[10] === 0xff) return bytes.subarray(12).join('.')\n  if (bytes.length !== 16) return",
      ],
    ],
  },
  {
    known: 'RFC 5322 comments',
    attack: 'A name ends the comment of the Received field and writes what it likes behind it',
    test: [
      'test/attacks/certificates.test.ts',
      '${what}, in subject and alternative names of a certificate that verifies',
    ],
    source: 'src/tls/statement.ts',
    mutation: [["text.replace(/[^\\x20-\\x7e]|[()\\\\'\"]/g, '?')", 'text']],
  },
]

/** Rows of `defences.ts`: certificates, their names, revocation, partners, and what clients can fill. */

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
  {
    known: 'CVE-2022-3602 and CVE-2022-3786 (OpenSSL), CVE-2023-0464',
    attack:
      'A hundred CAs in a row, ten thousand names, RSA keys of 16,384 bits: they cost the verifier too much',
    test: ['test/attacks/costs.test.ts', '${what}: judged, in bounded time'],
    source: 'src/tls/chain-walk.ts',
  },
  {
    known: 'CVE-2023-0464, in our own walk of a chain',
    attack: 'Certificates that could all be each other’s issuer: every path through them is tried',
    test: ['test/attacks/costs.test.ts', 'a walk of the chain checks so many signatures and no more'],
    source: 'src/tls/chain-walk.ts',
    mutation: [['const MAX_SIGNATURES = 40', 'const MAX_SIGNATURES = 4000']],
  },
  {
    known: 'CVE-2022-1473 (OpenSSL), and Node 24.21 by getPeerX509Certificate',
    attack:
      'Each certificate of a long chain stays in memory for ever, and clients fill it without being anybody',
    test: ['test/attacks/chain-memory.long.ts', 'clients that send long chains leave nothing in memory'],
    source: 'src/tls/presented.ts',
    mutation: [
      [
        '  const failure = openSslVerdict(socket)\n',
        '  const failure = openSslVerdict(socket)\n  socket.getPeerX509Certificate()\n',
      ],
    ],
  },
  {
    known: 'CVE-2025-61729, CVE-2026-27145 (Go)',
    attack: 'Ten thousand alternative names',
    test: ['src/tls/certificate.test.ts', 'thousands of names are cut visibly and quickly'],
    source: 'src/tls/certificate.ts',
    mutation: [['const MAX_ALT_NAMES = 256', 'const MAX_ALT_NAMES = 256_000']],
  },
  {
    known: 'CVE-2023-30588 (Node)',
    attack: 'A public key that cannot be read, where the chain is walked',
    test: ['test/attacks/certificates.test.ts', 'a walk of the chain ends at a key that cannot be read'],
    source: 'src/tls/chain-element.ts',
    mutation: [
      [
        '    // a key that cannot be read has signed nothing\n    return false',
        "    throw new Error('unreadable')",
      ],
    ],
  },
  {
    known: 'GHSA-82j2-j2ch-gfr8 (webpki), CVE-2026-28388 (OpenSSL)',
    attack:
      'A malformed or unsigned revocation list ends the process, or is believed before its signature is looked at',
    test: ['test/fuzz/crl.fuzz.ts', 'nothing that the CA has not signed says that a certificate is good'],
    source: 'src/tls/crl.ts',
    mutation: [['named.filter((list) => list.isSignedBy(issuer) !== false)', 'named']],
  },
  {
    known: 'A foreign hand in the revocation list',
    attack: 'A list that another key signed takes the place of the good one',
    test: ['test/tls/revocation.test.ts', 'a list that another key signed'],
    source: 'src/tls/revocation.ts',
    mutation: [
      ['return issuers.length > 0 && issuers.every(', 'return issuers.length > 99 && issuers.every('],
    ],
  },
  {
    known: 'Excused codes',
    attack: 'A relaxation excuses one error and lets the attacker’s own root in behind it',
    test: ['test/tls/eku.test.ts', "${eku}: the attacker's own root and every other fault"],
    source: 'src/tls/second-look.ts',
    mutation: [
      [
        '    const good = async (purpose: Purpose, lists: RevocationLists | undefined): Promise<boolean> =>\n      (await',
        "    const good = async (purpose: Purpose, lists: RevocationLists | undefined): Promise<boolean> =>\n      failure.code === 'INVALID_PURPOSE' || (await",
      ],
    ],
  },
  {
    known: 'Excused codes, by revocation',
    attack: 'Soft revocation forgives a certificate that is listed',
    test: ['test/tls/revocation.test.ts', 'who is listed stays revoked, in a list that is out of date too'],
    source: 'src/tls/second-look.ts',
    mutation: [['|| !lacksOnlyLists(', '|| false && !lacksOnlyLists(']],
  },
  {
    known: 'Soft revocation, by OCSP',
    attack:
      'A client hides a revoked CA behind another one of its name, and soft forgives what was not asked',
    test: ['test/attacks/ocsp.test.ts', 'a revoked CA that its client hides behind one of the same name'],
    source: 'src/tls/ocsp/check.ts',
    mutation: [['revoked === undefined && whole && question', 'revoked === undefined && question']],
  },
  {
    known: 'Malleable signatures',
    attack: 'A revoked certificate comes again in another encoding, which nobody remembers as revoked',
    test: ['test/attacks/ocsp.test.ts', 'who was revoked is revoked in every encoding of the signature'],
    source: 'src/tls/ocsp/client.ts',
    mutation: [['${keyOf(subject)}', '${keyOf(subject)} ${subject.element.facts.fingerprint}']],
  },
  {
    known: 'Replayed OCSP answers',
    attack: 'An answer of the same moment takes a revocation back',
    test: ['test/attacks/ocsp.test.ts', 'what was said of the same moment does not take a revocation back'],
    source: 'src/tls/ocsp/client.ts',
    mutation: [["  if (before.status !== 'revoked' && fresh.thisUpdate ===", '  if (fresh.thisUpdate ===']],
  },
  {
    known: 'Replayed OCSP answers, by time and nonce',
    attack: 'An old answer, or one to another question, says that a client is good',
    test: ['src/tls/ocsp/judge.test.ts', '${name}: refused'],
    source: 'src/tls/ocsp/judge.ts',
    mutation: [['    checkNonce(response, question)\n', '']],
  },
  {
    known: 'A foreign hand in OCSP',
    attack: 'An answer that a stranger, another CA’s client or a revoked signer has signed',
    test: ['test/attacks/ocsp.test.ts', 'a signer of answers that a list revokes loses what it has said'],
    source: 'src/tls/ocsp/judge.ts',
    mutation: [["  if (status === 'revoked') throw invalid(\"the signer's certificate is revoked\")\n", '']],
  },
  {
    known: 'NODE_EXTRA_CA_CERTS, the system’s roots',
    attack: 'Any public CA makes a client verified',
    test: ['test/tls/roots.test.ts', 'a CA that Node trusts by NODE_EXTRA_CA_CERTS verifies nobody'],
    source: 'src/tls/secure-context.ts',
    mutation: [
      ['    ca: [...(cas?.pem ?? [])],\n', '    ca: cas === undefined ? undefined : [...cas.pem],\n'],
    ],
  },
  {
    known: 'rspamd#2087',
    attack: 'Verified counts as logged in: any certificate of the CA may relay',
    test: [
      'src/policy/relay.test.ts',
      'a certificate grants relaying when it verifies and the scope says so',
    ],
    source: 'src/policy/relay.ts',
    mutation: [['return options.tls_verified_peer_can_relay', 'return true']],
  },
  {
    known: 'CVE-2026-26999, CVE-2026-22045 (Traefik)',
    attack: 'A handshake that comes octet by octet never ends',
    test: [
      'test/attacks/handshake.test.ts',
      'a ClientHello that comes octet by octet does not lengthen the deadline',
    ],
    source: 'src/tls/handshake.ts',
    mutation: [
      [
        'return milliseconds > 0 ? setTimeout(run, milliseconds) : undefined',
        'return milliseconds > 0 ? setTimeout(run, 30 * milliseconds) : undefined',
      ],
    ],
  },
  {
    known: 'CVE-2026-26999, by number',
    attack: 'One address holds all handshakes',
    test: ['test/attacks/handshake.test.ts', 'one address has so many handshakes under way and no more'],
    source: 'src/tls/contexts.ts',
    mutation: [
      [
        'if (!this.#slots.take(clientAddress, scope.options.tls_max_handshakes_per_address))',
        'if (!this.#slots.take(clientAddress, 0))',
      ],
    ],
  },
  {
    known: 'CVE-2011-1473, CVE-2009-3555',
    attack: 'Renegotiation: work for nothing, or somebody else’s prefix',
    test: ['test/tls/handshake.test.ts', 'renegotiation is refused'],
    source: 'src/tls/secure-context.ts',
    mutation: [['      constants.SSL_OP_NO_RENEGOTIATION |\n', '']],
  },
  {
    known: 'Log injection',
    attack: 'A value with a line end writes a line of the log',
    test: ['src/logs/formats.test.ts', 'a value cannot end its quotes, its list or its line'],
    source: 'src/logs/escape.ts',
    mutation: [
      ['const UNPRINTABLE = /[^ -~\\u0080-\\u00ff]/', 'const UNPRINTABLE = /[^\\0-~\\u0080-\\u00ff]/'],
    ],
  },
  {
    known: 'PROXY header from anybody (HAProxy’s warning)',
    attack: 'A client that is no proxy says which address it has',
    test: ['test/gate/proxy.test.ts', 'a host that is not among Proxy_Hosts, before it says anything'],
    source: 'src/listener/proxied.ts',
    mutation: [["  throw new ProxyHeaderError('this address is not among Proxy_Hosts')", '']],
  },
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

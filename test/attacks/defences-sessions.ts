/** Rows of `defences.ts`: sessions, handshakes, and what comes in clear text or in commands. */

import type { Defence } from './defence.ts'

export const sessionDefences: readonly Defence[] = [
  {
    known: 'nodejs/node#35317',
    attack:
      'A session without a certificate is resumed, and the verify result of the resumption says "no error"',
    test: [
      'test/tls/resumption.test.ts',
      'a session without a certificate stays anonymous when it is resumed',
    ],
    source: 'src/tls/peer.ts',
    mutation: [
      [
        "if (mode === 'none' || leaf === undefined) return { kind: 'anonymous' }",
        "if (mode === 'none') return { kind: 'anonymous' }\n  if (leaf === undefined) return { kind: 'verified' } as VerifiedPeer",
      ],
    ],
  },
  {
    known: 'CVE-2025-23419 (nginx), CVE-2025-23048 (Apache httpd), Postfix 3.12 (2026-08-05)',
    attack: 'A session of one scope is resumed in another one that trusts other clients',
    test: ['test/gate/matrix.test.ts', '${version}: a ticket is worth nothing in any other scope'],
    source: 'src/tls/trust.ts',
    mutation: [["tickets ? scopeId : ''", "''"]],
  },
  {
    known: 'CVE-2025-23419, by mode',
    attack: 'A session of a scope that asks for no certificate is resumed where one is required',
    test: [
      'test/tls/resumption.test.ts',
      "a ticket of mode ${from ?? 'unset'} is not taken in mode ${to ?? 'unset'}",
    ],
    source: 'src/tls/trust.ts',
    mutation: [
      ["    mode,\n    cas?.digest ?? '',", "    cas?.digest ?? '',"],
      ["    options.tls_verify_mode ?? 'unset',\n", ''],
    ],
  },
  {
    known: 'CVE-2025-23419, by version',
    attack: 'A session of TLS 1.2 is resumed in TLS 1.3, or the other way round',
    test: ['test/attacks/trust.test.ts', 'a session of one version of TLS is not taken in the other'],
    source: 'src/tls/secure-context.ts',
  },
  {
    known: 'CVE-2025-68121 (Go crypto/tls), golang/go#77217',
    attack: 'After a change of the CA an old session comes again, and its chain is not looked at',
    test: ['test/gate/resumption-clients.test.ts', 'TLS ${version}: not resumed after the CA has changed'],
    source: 'src/tls/trust.ts',
    mutation: [["    cas?.digest ?? '',\n", "    '',\n"]],
  },
  {
    known: 'CVE-2025-68121, by revocation',
    attack: 'A client that was revoked meanwhile comes with its old session',
    test: ['test/tls/resumption.test.ts', 'a ticket from before the client was revoked is not taken'],
    source: 'src/tls/trust.ts',
    mutation: [["    crls?.digest ?? '',\n", "    '',\n"]],
  },
  {
    known: 'Stale trust',
    attack: 'A session outlives the CRL or the CA that it was verified with',
    test: ['test/tls/resumption.test.ts', 'a ticket from before a CRL or CA went out of date is not taken'],
    source: 'src/tls/trust.ts',
    mutation: [['    passed,\n', '']],
  },
  {
    known: 'Stale trust',
    attack: 'A session outlives the certificate that it began with',
    test: ['test/tls/resumption.test.ts', 'a certificate that has expired since is judged again'],
    source: 'src/tls/peer.ts',
    mutation: [['if (!(now < certificate.notAfter))', 'if (false)']],
  },
  {
    known: 'Ticket keys that never change',
    attack: 'A key that was stolen once opens the sessions of every hour',
    test: ['test/tls/resumption.test.ts', 'the keys change with the hour'],
    source: 'src/tls/ticket-secret.ts',
    mutation: [
      [
        'for (; this.#period < target; this.#period += 1) {',
        'for (; this.#period < target; this.#period += 1) {\n      continue',
      ],
    ],
  },
  {
    known: 'Tickets that carry less than the verdict needs',
    attack: 'Resumption goes around the depth of a chain or a relaxation that ended',
    test: ['test/tls/eku.test.ts', 'a scope with a relaxation gives none and takes none'],
    source: 'src/tls/trust.ts',
    mutation: [[" && eku === 'clientAuth'", '']],
  },
  {
    known: 'Chains that can be read in two ways',
    attack: 'A shorter way to the root that is out of date hides how long the chain is that verified',
    test: ['test/tls/depth.test.ts', 'a shorter way that is out of date does not hide how long the chain is'],
    source: 'src/tls/peer.ts',
    mutation: [['reachesCa && !problems.some(({ cause }) => OUT_OF_DATE.includes(cause))', 'reachesCa']],
  },
  {
    known: 'CVE-2026-48928 (Node), CVE-2026-53622 and CVE-2026-32305 (Traefik)',
    attack: 'A name in another case, or one that nobody knows, leads to a context with other CAs or none',
    test: ['test/tls/sni.test.ts', 'CAs and revocation lists: no name changes a verdict'],
    source: 'src/tls/contexts.ts',
    mutation: [
      [
        'this.#contexts.of({ ...plan, server }, this',
        'this.#contexts.of({ ...plan, server, crls: undefined }, this',
      ],
    ],
  },
  {
    known: 'CVE-2026-21637 (Node), CVE-2026-27448 (pyOpenSSL)',
    attack: 'A callback throws in the handshake: the process ends, or the handshake goes on without it',
    test: ['test/tls/sni.test.ts', 'a choice that throws ends the handshake and nothing else'],
    source: 'src/tls/handshake.ts',
    mutation: [['done(error instanceof Error ? error : new Error(String(error)))', 'done(null)']],
  },
  {
    known: 'CVE-2026-32305 (Traefik)',
    attack: 'The ClientHello comes in records or segments of one octet',
    test: ['test/attacks/handshake.test.ts', '${version}: a handshake in segments of one octet works'],
    source: 'src/tls/handshake.ts',
  },
  {
    known: 'CVE-2019-15846 (Exim)',
    attack: 'The name that a client asks for holds a backslash, NUL, path or line end',
    test: [
      'test/attacks/certificates.test.ts',
      '${JSON.stringify(servername.slice(0, 30))} changes neither mode nor trust',
    ],
    source: 'src/tls/session-facts.ts',
    mutation: [["escapeWord(Buffer.from(servername, 'latin1'))", 'servername']],
  },
  {
    known: 'CVE-2011-0411, NO STARTTLS',
    attack: 'Commands in the same segment as STARTTLS are run inside TLS',
    test: ['test/attacks/starttls-injection.test.ts', '${place}: refused with 421, no handshake begins'],
    source: 'src/smtp/starttls.ts',
    mutation: [['      if (!injected) return\n', '      return\n']],
  },
  {
    known: 'CVE-2011-0411, where they are to be ignored',
    attack: 'Commands that were to be dropped come to light again inside TLS',
    test: ['test/attacks/starttls-injection.test.ts', 'ignore: dropped, the handshake goes on'],
    source: 'src/smtp/starttls.ts',
    mutation: [['      session.lines.drain()\n      return\n', '      return\n']],
  },
  {
    known: 'CVE-2011-0411, octet by octet',
    attack: 'Commands race the answer to STARTTLS, and what still lies unread is run later',
    test: ['test/attacks/starttls-injection.test.ts', 'commands in a segment of their own that race the 220'],
    source: 'src/tls/handshake.ts',
  },
  {
    known: 'NO STARTTLS, towards a client',
    attack: 'A reply, or the beginning of one, comes in clear behind the 220 and counts inside TLS',
    test: ['src/delivery/session/tls.test.ts', 'is followed by the first line of a reply in clear'],
    source: 'src/delivery/smtp-connection.ts',
    mutation: [['this.#parser.pending || this.#lines.buffered > 0', 'this.#lines.buffered > 0']],
  },
  {
    known: 'STARTTLS stripping',
    attack: 'Somebody on the way takes STARTTLS away, and mail that a policy protects goes in clear',
    test: ['src/delivery/session/tls-plan.test.ts', 'STARTTLS is taken away'],
    source: 'src/delivery/session/setup.ts',
    mutation: [["      if (use === 'required') throw this.#end(stages.afterEhlo, NOT_ADVERTISED)\n", '']],
  },
  {
    known: 'Fallback to clear text',
    attack: 'A next hop with a certificate of somebody else gets the mail all the same',
    test: [
      'src/delivery/session/tls.test.ts',
      'a certificate ${what} gets no mail where one is asked for, not even in clear',
    ],
    source: 'src/delivery/session/setup.ts',
    mutation: [['    if (!tls.insist) return\n', '    if (tls.use) return\n']],
  },
  {
    known: 'Certificate names, towards a server',
    attack: 'A wildcard stands for a part of a label, for several labels or for a whole top-level domain',
    test: [
      'src/delivery/session/host-names.test.ts',
      'a wildcard is the whole leftmost label and stands for exactly one',
    ],
    source: 'src/delivery/session/host-names.ts',
    mutation: [["dot > 0 && rest.includes('.') &&", 'dot > 0 &&']],
  },
  {
    known: 'The AD bit of anybody',
    attack: 'TLSA records count because a name server that is not ours says that they are authentic',
    test: [
      'src/delivery/session/dane.test.ts',
      'records count only if every answer was authentic, by a server that is believed',
    ],
    source: 'src/dns/stub-resolver.ts',
    mutation: [['reply.answer.authentic && this.#trusts(server.address)', 'reply.answer.authentic']],
  },
  {
    known: 'RFC 7672 §2.1.2',
    attack:
      'MX records of a signed domain are kept back, and a host of it without TLSA records gets its mail',
    test: [
      'test/gate/outbound-tls.test.ts',
      'where DANE is used, whoever keeps the answer about MX back does not choose the host',
    ],
    source: 'src/delivery/attempt.ts',
    mutation: [['usesDane(options) ? Number.POSITIVE_INFINITY : options', 'options']],
  },
  {
    known: 'RFC 7672 §2.2.2',
    attack:
      'A TLSA record that cannot be had at the end of an alias lets the records of the alias, or none, count',
    test: [
      'src/delivery/session/dane.test.ts',
      'an answer about an alias that cannot be had is not taken for another name’s',
    ],
    source: 'src/delivery/session/dane.ts',
    mutation: [["return { kind: 'failed', reason: error.message }", 'return NONE']],
  },
  {
    known: 'RFC 8461 §10',
    attack: 'The MTA-STS policy of a domain, or its record, is taken away to send mail elsewhere',
    test: [
      'src/delivery/session/sts.test.ts',
      'taking the record away, or the policy, does not take away what is known before its max_age is up',
    ],
    source: 'src/delivery/session/sts-policies.ts',
    mutation: [['return fetched ?? known', 'return fetched']],
  },
  {
    known: 'CVE-2021-38371 (Exim), RFC 3207 §4.2',
    attack: 'What was said in clear text, login included, counts inside TLS',
    test: [
      'test/attacks/starttls-injection.test.ts',
      'EHLO, AUTH and a transaction are forgotten; counts are not',
    ],
    source: 'src/smtp/session-state.ts',
    mutation: [['    this.authenticated = undefined\n    const keep', '    const keep']],
  },
  {
    known: 'CVE-2023-40217 (Python)',
    attack: 'Clear text to the implicit port, then a reset: it is read as what came through TLS',
    test: ['test/attacks/handshake.test.ts', 'clear text on the implicit port, then RST'],
    source: 'src/tls/handshake.ts',
  },
  {
    known: 'CVE-2026-45185 (Exim)',
    attack:
      'close_notify in mid-message, then clear text: the truncated message is taken, or memory is used after its end',
    test: [
      'test/attacks/handshake.test.ts',
      'after close_notify in mid-message, neither TLS nor clear text goes on',
    ],
    source: 'src/smtp/data-pace.ts',
    mutation: [
      [
        "if (received.kind === 'end') throw new ClientGoneError()",
        "if (received.kind === 'end') return Buffer.from('\\r\\n.\\r\\n')",
      ],
    ],
  },
  {
    known: 'CVE-2023-51764 (Postfix), CVE-2023-51765 (Sendmail), CVE-2023-51766 (Exim)',
    attack: 'SMTP smuggling: an end of data that only one of two servers sees',
    test: [
      'test/attacks/smuggling.test.ts',
      '${JSON.stringify(falseEnd)} octet by octet, and cut at each place',
    ],
    source: 'src/wire/data.ts',
    mutation: [
      [
        "this.#violate(octet === LF ? 'bare-lf' : 'nul')",
        "if (octet === LF) this.#state = 'start'\n      else this.#violate('nul')",
      ],
    ],
  },
  {
    known: 'SMTP smuggling, by lone CR',
    attack: 'A lone CR takes part in the end of data',
    test: ['test/attacks/smuggling.test.ts', '${own.length} of them in one segment'],
    source: 'src/wire/data.ts',
    mutation: [
      [
        "      // the CR has no LF; the octet itself is looked at next\n      this.#violate('bare-cr')",
        "      this.#state = 'start'",
      ],
    ],
  },
  {
    known: 'SMTP smuggling, by command lines',
    attack: 'A lone LF ends a command',
    test: ['test/attacks/bad-input.test.ts', '${what}: one refusal, then in step again'],
    source: 'src/wire/lines.ts',
    mutation: [["return newline < 0 ? undefined : 'bare-newline'", 'return undefined']],
  },
  {
    known: 'Mail loop, of double bounces',
    attack:
      'One message from the null sender makes two servers tell each other’s postmasters of their notices for ever',
    test: [
      'test/gate/notices.test.ts',
      'two gates that tell each other of mail from the null sender do not tell each other for ever',
    ],
    source: 'src/delivery/bouncing.ts',
    mutation: [[' || (ended.envelope.sender === undefined && (await this.#isToldOf(ended)))', '']],
  },
]

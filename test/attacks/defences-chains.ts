/** Rows of `defences.ts`: chains of certificates, what revokes them, handshakes. */

import type { Defence } from './defence.ts'

export const chainDefences: readonly Defence[] = [
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
]

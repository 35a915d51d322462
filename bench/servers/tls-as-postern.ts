/** TLS as Postern has it by default, for the loops that it is compared with: the same certificate, groups, ciphers, tickets. */

import { constants, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { TlsOptions } from 'node:tls'
import { cipherText } from '../../src/tls/cipher-options.ts'

/** as Node wants them: name, HMAC and AES keys */
const TICKET_KEY_OCTETS = 48

/** @param folder of `writePki`. A client without a certificate that verifies is refused. */
export function tlsAsPostern(folder: string): TlsOptions {
  const read = (name: string): string => readFileSync(path.join(folder, name), 'latin1')
  return {
    cert: read('server.pem'),
    key: read('server.key'),
    ca: [read('ca.pem')],
    ciphers: cipherText({
      tls_protocols: undefined,
      tls_ciphers: undefined,
      tlsv13_ciphersuites: undefined,
      tls_ec_curve_names: undefined,
    }),
    honorCipherOrder: true,
    dhparam: 'auto',
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: 'bare loop',
    ticketKeys: randomBytes(TICKET_KEY_OCTETS),
    requestCert: true,
    rejectUnauthorized: true,
  }
}

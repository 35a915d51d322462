/** The one table of mechanisms, in the order in which EHLO names them. */

import { cramMd5 } from './cram-md5.ts'
import { digestMd5 } from './digest-md5.ts'
import { external } from './external.ts'
import { login } from './login.ts'
import type { MechanismRow } from './mechanism.ts'
import type { MechanismName } from './mechanism-name.ts'
import { plain } from './plain.ts'

export const MECHANISMS: readonly MechanismRow[] = [
  { name: 'PLAIN', option: 'authplainparameters', clientFirst: true, needsCertificate: false, begin: plain },
  { name: 'LOGIN', option: 'authloginparameters', clientFirst: true, needsCertificate: false, begin: login },
  {
    name: 'CRAM-MD5',
    option: 'authcrammd5parameters',
    clientFirst: false,
    needsCertificate: false,
    begin: (grounds) => cramMd5(grounds),
  },
  {
    name: 'DIGEST-MD5',
    option: 'authdigestmd5parameters',
    clientFirst: false,
    needsCertificate: false,
    begin: (grounds) => digestMd5(grounds),
  },
  {
    name: 'EXTERNAL',
    option: 'authexternalparameters',
    clientFirst: true,
    needsCertificate: true,
    begin: external,
  },
]

/** @param name in capitals */
export function findMechanism(name: string): MechanismRow | undefined {
  return MECHANISMS.find((row) => row.name === (name as MechanismName))
}

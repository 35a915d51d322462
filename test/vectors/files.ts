/** The files of OpenSSL's test/certs: certificates by name, and which of them have a private key there. */

import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parsePem, toPem } from '../../src/tls/pem.ts'
import { MEANT } from './treatment.ts'

/** kinds of keys with which a client can sign in TLS */
const TLS_KEYS: readonly string[] = ['rsa', 'rsa-pss', 'ec', 'ed25519', 'ed448']

export interface TestCertificates {
  /** PEM; `trustSettings`: as OpenSSL's own kind of certificate with trust settings */
  read(name: string): { readonly ders: readonly Buffer[]; readonly trustSettings: boolean }
  /** the file's path */
  file(name: string): string
  /** PEM; undefined when there is none for the certificate */
  keyOf(der: Buffer): string | undefined
}

export function testCertificates(folder: string): TestCertificates {
  const keys = readKeys(folder)
  const file = (name: string): string => path.join(folder, `${MEANT[name] ?? name}.pem`)
  return {
    file,
    read: (name) => {
      const blocks = parsePem(readFileSync(file(name), 'latin1')).filter(({ label }) =>
        label.endsWith('CERTIFICATE'),
      )
      return {
        ders: blocks.flatMap(({ der }) => (der === undefined ? [] : [firstElement(der)])),
        trustSettings: blocks.some(({ label }) => label === 'TRUSTED CERTIFICATE'),
      }
    },
    keyOf: (der) => {
      const spki = attempt(() => spkiOf(new X509Certificate(der).publicKey))
      return spki === undefined ? undefined : keys.get(spki)
    },
  }
}

export function pemOf(ders: readonly Buffer[]): string {
  return ders.map((der) => toPem('CERTIFICATE', der)).join('')
}

function readKeys(folder: string): Map<string, string> {
  const keys = new Map<string, string>()
  for (const name of readdirSync(folder)) {
    const text = /\.(?:pem|key)$/.test(name) ? readFileSync(path.join(folder, name), 'latin1') : ''
    // an encrypted one cannot be read
    const key = text.includes('PRIVATE KEY') ? attempt(() => createPrivateKey(text)) : undefined
    if (TLS_KEYS.includes(key?.asymmetricKeyType ?? '') && key !== undefined) {
      keys.set(spkiOf(createPublicKey(key)), key.export({ type: 'pkcs8', format: 'pem' }) as string)
    }
  }
  return keys
}

function spkiOf(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('hex')
}

/** A certificate without the trust settings that may follow it. */
function firstElement(der: Buffer): Buffer {
  const first = der[1] ?? 0
  const octets = first & 0x7f
  return der.subarray(0, (first & 0x80) === 0 ? 2 + first : 2 + octets + der.readUIntBE(2, octets))
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

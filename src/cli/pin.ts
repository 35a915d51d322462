/** `postern pin FILE`: what to write into a Partner for the certificates of a file. Reads that file and nothing else. */

import { loadClientCas } from '../tls/material.ts'
import { PemError } from '../tls/pem.ts'
import type { Io } from './io.ts'

/** @returns 0, or 1 for a file that holds no certificate */
export async function runPin(file: string, io: Io): Promise<number> {
  try {
    const { facts } = await loadClientCas(file)
    const pages = facts.map((certificate) => {
      return [
        `# valid until ${new Date(certificate.notAfter).toISOString()}`,
        `SPKI_Pin = "sha256:${certificate.spki}"`,
        `Certificate_Pin = "sha256:${certificate.fingerprint}"`,
        ...list('Subject', [unicode(certificate.subject)]),
        ...list('Issuer', [unicode(certificate.issuer)]),
        // what an escape stands for cannot be written there
        ...list('SAN_DNS', certificate.sanDns.filter(isPlain)),
        ...list('SAN_Email', certificate.sanEmail.filter(isPlain)),
        ...list('SAN_URI', certificate.sanUri.filter(isPlain)),
        ...list('SAN_IP', certificate.sanIp),
      ].join('\n')
    })
    io.stdout.write(`${pages.join('\n\n')}\n`)
    return 0
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    io.stderr.write(`postern: ${file}: ${error.message}\n`)
    return 1
  }
}

function list(option: string, values: readonly string[]): string[] {
  return values.map((value) => `${option} = "${value.replace(/["\\]/g, '\\$&')}"`)
}

function unicode(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8')
}

function isPlain(name: string): boolean {
  return !/[\\*]/.test(name)
}

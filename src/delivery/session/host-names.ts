/**
 * Whether a certificate names a host (RFC 9525 §6, RFC 8461 §4.1, RFC 7672 §3.2.2).
 *
 * DNS names of the subjectAltName are compared without case, label by label; `*` counts only as the whole leftmost label
 * and stands for exactly one. An address is compared with the addresses of the subjectAltName. A CN counts only where
 * the caller allows it and the certificate has no alternative name of any kind; a wildcard in it counts for nothing.
 */

import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { parseAddress } from '../../config/address.ts'
import type { CertificateFacts } from '../../tls/peer.ts'

type Names = Pick<CertificateFacts, 'sanDns' | 'sanIp' | 'sanEmail' | 'sanUri' | 'subjectCn'>

/** @param names those that the host may have: any of them is enough */
export function certificateNames(certificate: Names, names: readonly string[], commonName: boolean): boolean {
  const references = names.map(referenceName).filter((name) => name !== undefined)
  return references.some((name) => namesOne(certificate, name, commonName))
}

/** A host's name as A-labels in lower case without the final dot, or an address; undefined for what is neither. */
export function referenceName(name: string): string | undefined {
  const bare = name.replace(/\.$/, '')
  if (isIP(bare) !== 0) return bare
  const ascii = domainToASCII(bare).toLowerCase()
  return isHostName(ascii) ? ascii : undefined
}

function namesOne({ sanDns, sanIp, sanEmail, sanUri, subjectCn }: Names, name: string, cn: boolean): boolean {
  if (isIP(name) !== 0) return sanIp.some((each) => sameAddress(each, name))
  if (sanDns.some((pattern) => matches(pattern.toLowerCase().replace(/\.$/, ''), name))) return true
  const unnamed = [sanDns, sanIp, sanEmail, sanUri].every((list) => list.length === 0)
  return cn && unnamed && subjectCn.toLowerCase().replace(/\.$/, '') === name
}

function matches(pattern: string, name: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === name
  const rest = pattern.slice(2)
  const dot = name.indexOf('.')
  // `*.com` would be every company there is
  return dot > 0 && rest.includes('.') && isHostName(rest) && name.slice(dot + 1) === rest
}

function isHostName(text: string): boolean {
  return (
    text.length <= 253 &&
    /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/.test(text)
  )
}

function sameAddress(a: string, b: string): boolean {
  const [left, right] = [parseAddress(a), parseAddress(b)]
  return left !== undefined && right !== undefined && Buffer.from(left.bytes).equals(Buffer.from(right.bytes))
}

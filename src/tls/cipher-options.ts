/**
 * TLS_Protocols, TLS_Ciphers, TLSv13_Ciphersuites and TLS_EC_Curve_Names → options of Node's secure contexts.
 *
 * Momentum: config/tls-protocols, tls-ciphers, tlsv13-ciphersuites, tls-ec-curve-names. A value that OpenSSL would
 * silently bend (an unknown word in a list) is found here; nothing is ever loosened by a typing error.
 */

import { constants } from 'node:crypto'
import { createSecureContext, DEFAULT_CIPHERS, type SecureVersion } from 'node:tls'
import type { InboundValues } from '../config/settings.ts'

type CipherValues = Pick<
  InboundValues,
  'tls_protocols' | 'tls_ciphers' | 'tlsv13_ciphersuites' | 'tls_ec_curve_names'
>

export interface ProtocolRange {
  readonly minVersion: SecureVersion
  readonly maxVersion: SecureVersion
  /** versions in between that are switched off */
  readonly secureOptions: number
}

interface Version {
  readonly word: string
  readonly node: SecureVersion
  readonly off: number
}

const VERSIONS: readonly Version[] = [
  { word: 'tlsv1.0', node: 'TLSv1', off: constants.SSL_OP_NO_TLSv1 },
  { word: 'tlsv1.1', node: 'TLSv1.1', off: constants.SSL_OP_NO_TLSv1_1 },
  { word: 'tlsv1.2', node: 'TLSv1.2', off: constants.SSL_OP_NO_TLSv1_2 },
  { word: 'tlsv1.3', node: 'TLSv1.3', off: constants.SSL_OP_NO_TLSv1_3 },
]

/** momentum: config/tlsv13-ciphersuites */
const DEFAULT_SUITES = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

/** Words of OpenSSL's list language that stand for no suite of this build, and may yet be written (openssl-ciphers). */
const EMPTY_WORDS = new Set(
  (
    'NULL eNULL aNULL ADH AECDH EXP EXPORT EXPORT40 EXPORT56 LOW MEDIUM SSLv2 SSLv3 TLSv1 TLSv1.0 TLSv1.2 DES 3DES RC2 ' +
    'RC4 IDEA SEED CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIA128 ARIA256 MD5 SHA SHA1 PSK kPSK aPSK SRP kSRP aSRP DSS aDSS ' +
    'DH EDH kEDH kDHE DHE kDH kDHr kDHd aDH ECDH kECDH kECDHe kECDHr aECDH kGOST aGOST aGOST01 GOST89MAC GOST94 KRB5 FZA ' +
    'COMPLEMENTOFALL COMPLEMENTOFDEFAULT'
  ).split(' '),
)

/**
 * `+ALL:-TLSv1.0`, read from the left. A list that begins with `+` begins with nothing, one that begins with `-` with
 * all. SSLv2 and SSLv3 are accepted and do nothing. Unset is TLS 1.2 and 1.3.
 * @throws RangeError with what is wrong, for a diagnostic
 */
export function protocolRange(value: string | undefined): ProtocolRange {
  if (value === undefined) return { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', secureOptions: 0 }
  const chosen = new Set(value.trimStart().startsWith('-') ? VERSIONS : [])
  for (const item of value.split(':')) {
    const [, sign, word = ''] = /^\s*([+-])(\S+)\s*$/.exec(item) ?? []
    const versions = versionsOf(word.toLowerCase())
    if (sign === undefined || versions === undefined) {
      throw new RangeError(
        `"${item.trim()}" is not + or - and ALL, SSLv2, SSLv3, TLSv1.0, TLSv1.1, TLSv1.2 or TLSv1.3`,
      )
    }
    for (const version of versions) {
      if (sign === '+') chosen.add(version)
      else chosen.delete(version)
    }
  }
  const first = VERSIONS.find((version) => chosen.has(version))
  const last = VERSIONS.findLast((version) => chosen.has(version))
  if (first === undefined || last === undefined) throw new RangeError('no version of TLS is left')
  const secureOptions = VERSIONS.filter((version) => !chosen.has(version)).reduce(
    (bits, { off }) => bits | off,
    0,
  )
  return { minVersion: first.node, maxVersion: last.node, secureOptions }
}

/**
 * The value of Node's `ciphers`, which takes the suites of TLS 1.3 and the list for older versions in one text. Left
 * to itself, a list without suites would switch TLS 1.3 off.
 */
export function cipherText(values: CipherValues): string {
  const older =
    values.tls_ciphers ??
    DEFAULT_CIPHERS.split(':')
      .filter((word) => !word.startsWith('TLS_'))
      .join(':')
  return `${values.tlsv13_ciphersuites ?? DEFAULT_SUITES}:${older}`
}

/** Everything that is wrong with one option, one sentence each. */
export interface CipherFinding {
  readonly option: keyof CipherValues
  readonly severity: 'error' | 'warning'
  readonly message: string
}

export function checkCipherOptions(values: CipherValues): CipherFinding[] {
  return [...checkProtocols(values), ...checkSuites(values), ...checkCiphers(values), ...checkCurves(values)]
}

function checkProtocols({ tls_protocols: value }: CipherValues): CipherFinding[] {
  try {
    protocolRange(value)
    return []
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return [{ option: 'tls_protocols', severity: 'error', message: `TLS_Protocols: ${reason}` }]
  }
}

function checkSuites({ tlsv13_ciphersuites: value }: CipherValues): CipherFinding[] {
  const bad = (value?.split(':') ?? []).find(
    (name) => !/^TLS_[A-Z0-9_]+$/.test(name) || !accepts({ ciphers: name }),
  )
  if (bad === undefined) return []
  const message = `TLSv13_Ciphersuites: OpenSSL knows no suite of TLS 1.3 called "${bad}"`
  return [{ option: 'tlsv13_ciphersuites', severity: 'error', message }]
}

function checkCiphers({ tls_ciphers: value }: CipherValues): CipherFinding[] {
  if (value === undefined) return []
  const option = 'tls_ciphers'
  const words = value.split(/[:, ;]+/).filter((word) => word !== '')
  const suite = words.find((word) => /^[!+-]?TLS_/.test(word))
  if (suite !== undefined) {
    const message = `TLS_Ciphers: "${suite}" is a suite of TLS 1.3; those are named by TLSv13_Ciphersuites`
    return [{ option, severity: 'error', message }]
  }
  if (!accepts({ ciphers: value })) {
    return [{ option, severity: 'error', message: `TLS_Ciphers: OpenSSL finds no cipher in "${value}"` }]
  }
  return words
    .filter((word) => !knownWord(word))
    .map((word) => {
      // an exclusion that excludes nothing would leave on what was to be off
      const excludes = /^[!-]/.test(word)
      const message = `TLS_Ciphers: OpenSSL knows no cipher "${word.replace(/^[!+-]/, '')}"`
      return { option, severity: excludes ? 'error' : 'warning', message }
    })
}

function checkCurves({ tls_ec_curve_names: value }: CipherValues): CipherFinding[] {
  if (value === undefined || accepts({ ecdhCurve: value })) return []
  const bad = value.split(':').find((name) => !accepts({ ecdhCurve: name }))
  const message = `TLS_EC_Curve_Names: invalid curve or group list${bad === undefined ? '' : `; OpenSSL knows no "${bad}"`}`
  return [{ option: 'tls_ec_curve_names', severity: 'error', message }]
}

function versionsOf(word: string): readonly Version[] | undefined {
  if (word === 'all') return VERSIONS
  if (word === 'sslv2' || word === 'sslv3') return []
  const found = VERSIONS.find((version) => version.word === word)
  return found && [found]
}

function knownWord(word: string): boolean {
  if (/^@(STRENGTH|SECLEVEL=[0-5])$/.test(word)) return true
  const plain = word.replace(/^[!+-]/, '')
  return plain.split('+').every((part) => EMPTY_WORDS.has(part) || accepts({ ciphers: part }))
}

function accepts(options: { readonly ciphers?: string; readonly ecdhCurve?: string }): boolean {
  try {
    createSecureContext({ ca: [], ...options })
    return true
  } catch {
    return false
  }
}

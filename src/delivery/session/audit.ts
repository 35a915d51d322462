/**
 * What there is to say about the outbound options of TLS and AUTH, and about the files that they name: everything that
 * cannot work is an error, what does less than it seems to is a warning. Each finding once, at the option that is at fault.
 */

import type { Diagnostic } from '../../config/diagnostic.ts'
import { describeOrigin, type Origin } from '../../config/diagnostic.ts'
import { displayName } from '../../config/known-names.ts'
import type { FilePath, OutboundScope, OutboundValues, Settings } from '../../config/settings.ts'
import { parseServer, systemServers } from '../../dns/name-servers.ts'
import { isLoopback } from '../../dns/stub-resolver.ts'
import { validityRemark } from '../../tls/audit.ts'
import { checkCipherOptions } from '../../tls/cipher-options.ts'
import { PemError } from '../../tls/pem.ts'
import type { SessionMaterial } from './material.ts'

type Option = keyof OutboundValues

/** Collects findings, each once. */
class Findings {
  readonly diagnostics: Diagnostic[] = []
  readonly #seen = new Set<string>()

  add(severity: Diagnostic['severity'], message: string, at: Origin): void {
    const key = `${message}\0${at === 'default' ? at : `${describeOrigin(at)}:${at.column}`}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    this.diagnostics.push({ severity, message, ...(at === 'default' ? {} : { at }) })
  }
}

/** Milliseconds before the end in which a certificate is reported. */
const SOON = 30 * 86_400_000

/** @param now milliseconds since the epoch */
export async function auditSessions(
  settings: Settings,
  material: SessionMaterial,
  now: number,
): Promise<readonly Diagnostic[]> {
  const findings = new Findings()
  for (const scope of settings.outboundScopes()) {
    const files = new ScopeFiles({ scope, material, findings, now })
    await files.check()
    checkDemands(scope, findings)
    checkPolicies(scope, findings)
    checkLogin(scope, findings)
    if (scope.options.use_dane) await checkResolver(settings, scope, findings)
  }
  await checkWebRoots(settings, material, findings)
  return findings.diagnostics
}

interface FilesOptions {
  readonly scope: OutboundScope
  readonly material: SessionMaterial
  readonly findings: Findings
  readonly now: number
}

/** The files of one scope. */
class ScopeFiles {
  readonly #o: FilesOptions

  constructor(options: FilesOptions) {
    this.#o = options
  }

  async check(): Promise<void> {
    const { scope, material, findings } = this.#o
    const { options } = scope
    const ciphers = checkCipherOptions({ ...options, tls_ec_curve_names: undefined })
    for (const { option, severity, message } of ciphers) {
      if (option !== 'tls_ec_curve_names') findings.add(severity, message, scope.origin(option))
    }
    const certificate = await this.#load('tls_certificate', async () => await material.certificate(options))
    if (certificate !== undefined) this.#dates('tls_certificate', 'our certificate', certificate.leaf)
    const { tls_ca: file } = options
    const cas = file && (await this.#load('tls_ca', async () => await material.cas(file)))
    for (const facts of cas?.facts ?? []) this.#dates('tls_ca', `the CA "${facts.subject}"`, facts)
  }

  async #load<T>(option: 'tls_certificate' | 'tls_ca', load: () => Promise<T>): Promise<T | undefined> {
    try {
      return await load()
    } catch (error) {
      if (!(error instanceof PemError)) throw error
      this.#tell('error', option, error.message)
      return undefined
    }
  }

  #dates(
    option: 'tls_certificate' | 'tls_ca',
    what: string,
    dates: { readonly notBefore: number; readonly notAfter: number },
  ): void {
    const remark = validityRemark(dates, this.#o.now, SOON)
    if (remark !== undefined) this.#tell('warning', option, `${what} ${remark}`)
  }

  #tell(severity: Diagnostic['severity'], option: 'tls_certificate' | 'tls_ca', reason: string): void {
    const { scope, findings } = this.#o
    const file: FilePath | undefined = scope.options[option]
    findings.add(severity, `${displayName(option)} "${file?.text ?? ''}": ${reason}`, scope.origin(option))
  }
}

function checkDemands(scope: OutboundScope, findings: Findings): void {
  const { tls, tls_verify: verify, tls_ca: ca } = scope.options
  if (verify === 'no') return
  const at = scope.origin('tls_verify')
  const unset = tls === 'no' && scope.origin('tls') === 'default'
  if (unset) {
    findings.add(
      'error',
      `TLS_Verify = "${verify}" does nothing while TLS is "no": write TLS = "required" too`,
      at,
    )
  }
  if (tls === 'no') return
  if (ca === undefined) {
    const message = `TLS_Verify is "${verify}" without a TLS_CA: nothing can verify; the system's CAs are never used`
    findings.add('error', message, at)
  }
  if (tls === 'ifavailable' && verify !== 'optional') {
    const message = `TLS_Verify = "${verify}" is no protection while TLS is "ifavailable": a host that offers no TLS gets the mail in clear`
    findings.add('warning', message, at)
  }
}

/** Enable_… without Use_…: who wrote it believes that something is checked. */
function checkPolicies(scope: OutboundScope, findings: Findings): void {
  const pairs: readonly (readonly [Option, Option])[] = [
    ['enable_dane', 'use_dane'],
    ['enable_mta_sts', 'use_mta_sts'],
  ]
  for (const [enable, use] of pairs) {
    // a narrower scope may well do without what a wider one has
    if (scope.options[enable] !== true || scope.origin(use) !== 'default') continue
    const message = `${displayName(enable)} does nothing without ${displayName(use)} = true`
    findings.add('error', message, scope.origin(enable))
  }
}

function checkLogin(scope: OutboundScope, findings: Findings): void {
  const { options } = scope
  const {
    outbound_smtp_auth_type: type,
    outbound_smtp_auth_user: user,
    outbound_smtp_auth_pass: pass,
  } = options
  if (type === undefined) return
  const at = scope.origin('outbound_smtp_auth_type')
  if (user === undefined || pass === undefined) {
    const message =
      'Outbound_SMTP_Auth_Type needs Outbound_SMTP_Auth_User and Outbound_SMTP_Auth_Pass, unless each message’s context has them'
    findings.add('warning', message, at)
  }
  if (options.outbound_smtp_auth_plaintext) {
    const place = scope.origin('outbound_smtp_auth_plaintext')
    findings.add('warning', 'the password may cross the network in clear', place)
    return
  }
  const policies = options.use_dane || options.use_mta_sts
  if (options.tls === 'no' && !policies) {
    const message =
      'Outbound_SMTP_Auth_Type needs TLS, which is "no": write TLS = "required", or Outbound_SMTP_Auth_Plaintext = true where the network is yours'
    findings.add('error', message, at)
  } else if (!policies && (options.tls_verify === 'no' || options.tls_verify === 'optional')) {
    findings.add(
      'warning',
      'the password goes to a host that nobody has verified: write TLS_Verify = "host"',
      at,
    )
  }
}

async function checkResolver(settings: Settings, scope: OutboundScope, findings: Findings): Promise<void> {
  const { dns_servers: named } = settings.global
  const at = scope.origin('use_dane')
  if (named.length === 0) {
    const servers = await systemServers(Date.now)()
    if (servers.some(({ address }) => isLoopback(address))) return
    const message =
      'Use_DANE does nothing here: the name servers of /etc/resolv.conf are not on this machine, and what they say of signatures is not believed; run a validating resolver here, or name one in DNS_Servers'
    findings.add('warning', message, at)
    return
  }
  const far = named.find((text) => !isLoopback(parseServer(text)?.address ?? ''))
  if (far === undefined) return
  const message = `Use_DANE believes what ${far} says of signatures, and with it whoever stands between: the way there has to be a safe one`
  findings.add('warning', message, settings.globalOrigin('dns_servers'))
}

async function checkWebRoots(
  settings: Settings,
  material: SessionMaterial,
  findings: Findings,
): Promise<void> {
  const { mta_sts_ca: file } = settings.global
  if (file === undefined) return
  try {
    await material.webRoots()
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    findings.add('error', `MTA_STS_CA "${file.text}": ${error.message}`, settings.globalOrigin('mta_sts_ca'))
  }
}

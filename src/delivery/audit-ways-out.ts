/**
 * What there is to say about the ways out and the files that they name: what cannot work is an error, what is unwise a
 * warning. Nothing is run, and nobody is asked.
 */

import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Diagnostic, Origin } from '../config/diagnostic.ts'
import type { FilePath, OutboundScope, Settings } from '../config/settings.ts'
import type { PipeSettings, WebhookSettings } from '../config/settings-delivery.ts'
import { PemError } from '../tls/pem.ts'
import { loadSigningKey, loadWebhookTls } from './webhook/material.ts'

/** @param uid whom the server runs as, as far as is known */
export async function auditWaysOut(settings: Settings, uid?: number): Promise<readonly Diagnostic[]> {
  const findings: Diagnostic[] = []
  const methods = new Set<string>()
  for (const scope of settings.outboundScopes()) methodFindings(scope, findings, methods)
  for (const pipe of settings.pipes) await auditPipe(pipe, findings)
  const [first] = settings.pipes
  if (first !== undefined && uid === 0 && settings.security?.user === undefined) {
    const message =
      'the programs of pipe_transport run as root, with mail from strangers: write Security { User = "…" }'
    findings.push({ severity: 'warning', message, at: first.at })
  }
  for (const webhook of settings.webhooks) await auditWebhook(webhook, findings)
  return findings
}

function methodFindings(scope: OutboundScope, findings: Diagnostic[], seen: Set<string>): void {
  const { options } = scope
  if (options.delivery_method !== 'SMTP' || options.tls !== 'required') return
  const at: Origin = scope.origin('delivery_method')
  const key = JSON.stringify(at)
  if (seen.has(key)) return
  seen.add(key)
  const message =
    'Delivery_Method = "SMTP" knows no STARTTLS, and TLS is "required": nothing is ever delivered; write "ESMTP"'
  findings.push({ severity: 'error', message, ...(at === 'default' ? {} : { at }) })
}

async function auditPipe(pipe: PipeSettings, findings: Diagnostic[]): Promise<void> {
  const { name, at, program_name: program, directory } = pipe
  const tell = (severity: Diagnostic['severity'], message: string): void => {
    findings.push({ severity, message: `pipe_transport "${name}": ${message}`, at })
  }
  try {
    const about = await stat(program.path)
    if (!about.isFile()) tell('error', `Program_Name "${program.text}" is not a file`)
    else if ((about.mode & 0o022) !== 0)
      tell('warning', `Program_Name "${program.text}" can be written by others than its owner`)
    await access(program.path, constants.X_OK)
  } catch (error) {
    tell('error', `Program_Name "${program.text}" cannot be run: ${codeOf(error)}`)
  }
  const folders = [directory, pipe.output_file, pipe.error_file].filter((each) => each !== undefined)
  for (const each of folders) {
    const folder = each === directory ? each.path : path.dirname(each.path)
    const found = await stat(folder).catch(() => undefined)
    if (found?.isDirectory() !== true)
      tell(each === directory ? 'error' : 'warning', `there is no folder "${folder}"`)
  }
}

async function auditWebhook(webhook: WebhookSettings, findings: Diagnostic[]): Promise<void> {
  const { name, at, key_file: keys } = webhook
  const tell = (severity: Diagnostic['severity'], message: string): void => {
    findings.push({ severity, message: `webhook "${name}": ${message}`, at })
  }
  for (const file of keys) await auditKey(file, tell)
  try {
    await loadWebhookTls(webhook)
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    tell('error', `TLS_CA, TLS_Certificate or TLS_Key: ${error.message}`)
  }
}

async function auditKey(
  file: FilePath,
  tell: (severity: Diagnostic['severity'], message: string) => void,
): Promise<void> {
  try {
    await loadSigningKey(file)
    const { mode } = await stat(file.path)
    if ((mode & 0o007) !== 0)
      tell('warning', `everybody on this machine can read the key "${file.text}": chmod o= it`)
  } catch (error) {
    tell('error', `Key_File "${file.text}": ${error instanceof PemError ? error.message : codeOf(error)}`)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}

/**
 * The stanzas of the ways out: `pipe_transport` (Momentum: modules/pipe-transport; rows marked + are extensions) and
 * `webhook`, which is an extension as a whole.
 */

import { count, filePath, pathUnless } from './codec.ts'
import {
  contextKeys,
  exitCodes,
  keyFiles,
  programArguments,
  programEnvironment,
  webhookUrl,
} from './codec-delivery.ts'
import { domains } from './codec-mail.ts'
import type { OptionTable, ScopeName } from './option-row.ts'
import type { PipeValues, WebhookValues } from './settings-delivery.ts'

const pipe: readonly ScopeName[] = ['pipe_transport']
const runTime = count('a whole number of seconds', { min: 1, max: 86_400 })
const atOnce = count('a whole number', { min: 1, max: 1000 })

export const pipeOptions: OptionTable<PipeValues> = {
  // required by check.ts, so the default never counts
  program_name: { codec: filePath, default: { path: '', text: '' }, scopes: pipe },
  domain: { codec: domains, default: Object.freeze([]), scopes: pipe },
  code: { codec: exitCodes, default: Object.freeze({}), scopes: pipe },
  output_file: { codec: filePath, default: undefined, scopes: pipe },
  error_file: { codec: filePath, default: undefined, scopes: pipe },
  /** + */
  arguments: { codec: programArguments, default: Object.freeze([]), scopes: pipe },
  /** + */
  environment: { codec: programEnvironment, default: Object.freeze({}), scopes: pipe },
  /** + */
  directory: { codec: filePath, default: { path: '/', text: '/' }, scopes: pipe },
  /** + */
  timeout: { codec: runTime, default: 300, scopes: pipe },
  /** + */
  max_concurrent: { codec: atOnce, default: 10, scopes: pipe },
}

const webhook: readonly ScopeName[] = ['webhook']

/** Who a client is, as far as somebody has shown it. */
const toldUnlessSet = Object.freeze([
  'ehlo_domain',
  'auth_user',
  'tls_protocol',
  'tls_client_verified',
  'tls_client_verify_error',
  'tls_client_cert_subject',
  'tls_client_cert_issuer',
  'tls_client_cert_serial',
  'tls_client_cert_fingerprint',
  'tls_client_cert_san_dns',
  'tls_client_cert_san_email',
  'tls_client_cert_san_uri',
  'tls_partner',
])

export const webhookOptions: OptionTable<WebhookValues> = {
  // likewise
  url: { codec: webhookUrl, default: '', scopes: webhook },
  domains: { codec: domains, default: Object.freeze([]), scopes: webhook },
  key_file: { codec: keyFiles, default: Object.freeze([]), scopes: webhook },
  tls_ca: { codec: filePath, default: undefined, scopes: webhook },
  tls_certificate: { codec: pathUnless('none'), default: undefined, scopes: webhook },
  tls_key: { codec: pathUnless('none'), default: undefined, scopes: webhook },
  context_keys: { codec: contextKeys, default: toldUnlessSet, scopes: webhook },
  timeout: { codec: runTime, default: 60, scopes: webhook },
  max_concurrent: { codec: atOnce, default: 10, scopes: webhook },
}

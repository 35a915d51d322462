/** The options of an HTTP_Listener (momentum: rest-http-listener). Codecs and defaults are those of the ESMTP_Listener. */

import { bool, type Codec, listWhere } from './codec.ts'
import { domains } from './codec-mail.ts'
import { type OptionTable, type ScopeName, within } from './option-row.ts'
import { controlOptions } from './options-control.ts'
import { inboundOptions } from './options-inbound.ts'
import { quote } from './render.ts'
import type { Dictionary, InboundValues } from './settings.ts'
import type { ControlOwnValues } from './settings-control.ts'

/** Names as an operator types them, or subjects of certificates. */
const operators: Codec<readonly string[]> = listWhere((item, context) =>
  /^[^\p{C}\p{Zl}\p{Zp}]{1,512}$/u.test(item.text)
    ? { value: item.text }
    : context.error(`takes names of users or subjects of certificates, not ${quote(item.text)}`, item.at),
)

const http: readonly ScopeName[] = ['http_listener', 'http_listen']

type SocketName = 'enable' | 'listen_backlog' | 'file_mode'
type HttpTlsName =
  | 'use_ssl'
  | 'tls_certificate'
  | 'tls_key'
  | 'tls_client_ca'
  | 'tls_client_crl'
  | 'tls_client_ocsp'
  | 'tls_verify_mode'
  | 'tls_ciphers'
  | 'tlsv13_ciphersuites'
  | 'tls_protocols'
  | 'tls_handshake_timeout'
  | 'tls_max_handshakes_per_address'

type RoleName = 'enable_authorization' | 'authorizationparameters'

export type HttpValues = Pick<InboundValues, SocketName | HttpTlsName> &
  Pick<ControlOwnValues, RoleName> & {
    /** a request is answered only where the client's certificate verifies */
    readonly tls_verified_peer_is_authorized: boolean
    /** by which names requests come, besides Hostname and localhost */
    readonly allowed_hosts: readonly string[]
    /** whether the endpoints that scripts register are served */
    readonly script_endpoints: boolean
    /** whether the operators' page is served */
    readonly page: boolean
    /** who may act there, and not look alone */
    readonly page_operators: readonly string[]
    /** whose passwords let somebody in there */
    readonly authloginparameters: Dictionary | undefined
  }

export const httpOptions: OptionTable<HttpValues> = {
  enable: within(inboundOptions.enable, http),
  listen_backlog: within(inboundOptions.listen_backlog, http),
  file_mode: within(inboundOptions.file_mode, http),
  use_ssl: within(inboundOptions.use_ssl, http),
  tls_certificate: within(inboundOptions.tls_certificate, http),
  tls_key: within(inboundOptions.tls_key, http),
  tls_client_ca: within(inboundOptions.tls_client_ca, http),
  tls_client_crl: within(inboundOptions.tls_client_crl, http),
  tls_client_ocsp: within(inboundOptions.tls_client_ocsp, http),
  tls_verify_mode: within(inboundOptions.tls_verify_mode, http),
  tls_verified_peer_is_authorized: { codec: bool, default: false, scopes: http },
  allowed_hosts: { codec: domains, default: Object.freeze([]), scopes: http },
  script_endpoints: { codec: bool, default: false, scopes: http },
  page: { codec: bool, default: false, scopes: http },
  page_operators: { codec: operators, default: Object.freeze([]), scopes: http },
  authloginparameters: within(inboundOptions.authloginparameters, http),
  enable_authorization: within(controlOptions.enable_authorization, http),
  authorizationparameters: within(controlOptions.authorizationparameters, http),
  tls_ciphers: within(inboundOptions.tls_ciphers, http),
  tlsv13_ciphersuites: within(inboundOptions.tlsv13_ciphersuites, http),
  tls_protocols: within(inboundOptions.tls_protocols, http),
  tls_handshake_timeout: within(inboundOptions.tls_handshake_timeout, http),
  tls_max_handshakes_per_address: within(inboundOptions.tls_max_handshakes_per_address, http),
}

/** The TLS options of the inbound scopes, as everything outside `config/` sees them: part of `settings.ts`. */

/** TLS_Verify_Mode; `undefined` is the unset behaviour, which the extension `optional` restores in a narrower scope. */
export type VerifyMode = 'none' | 'require'

/** A file named by the configuration: the absolute path, and the text as written. */
export interface FilePath {
  readonly path: string
  readonly text: string
}

/** A TLS_SNI stanza. */
export interface SniCertificate {
  /** lower case */
  readonly host: string
  readonly certificate: FilePath
  /** undefined: it is in the certificate's file */
  readonly key: FilePath | undefined
}

/** Times are in seconds. Names are Momentum's; those marked + are extensions. */
export interface TlsValues {
  readonly use_ssl: boolean
  readonly tls_certificate: FilePath | undefined
  readonly tls_key: FilePath | undefined
  /** + other certificates by the name that a client asks for; over all scopes, host by host */
  readonly tls_sni: readonly SniCertificate[]
  readonly tls_client_ca: FilePath | undefined
  /** + */
  readonly tls_client_crl: FilePath | undefined
  /** + `soft`: a list that is missing or out of date is forgiven */
  readonly tls_client_crl_mode: 'hard' | 'soft'
  /** + seconds after which a list that is not replaced raises an alarm; 0 = none */
  readonly tls_client_crl_alarm_age: number
  /** + whether OCSP responders are asked about clients' certificates */
  readonly tls_client_ocsp: boolean
  /** + `soft`: an answer that is missing or worth nothing is forgiven */
  readonly tls_client_ocsp_mode: 'hard' | 'soft'
  readonly tls_verify_mode: VerifyMode | undefined
  /** + what another TLS_Verify_Mode would do is told beside what the active one does; undefined: nothing is */
  readonly tls_verify_mode_shadow: VerifyMode | undefined
  /** + what a client's certificate must be for; `any` = clients or servers */
  readonly tls_client_eku: 'clientAuth' | 'any' | 'report'
  /** + CAs that may stand between a client's certificate and a root; undefined = as many as OpenSSL allows */
  readonly tls_verify_depth: number | undefined
  readonly tls_verified_peer_can_relay: boolean
  readonly tls_ciphers: string | undefined
  readonly tlsv13_ciphersuites: string | undefined
  readonly tls_protocols: string | undefined
  readonly tls_ec_curve_names: string | undefined
  readonly tls_allow_renegotiation: boolean
  readonly starttls_injection_policy: 'reject' | 'ignore' | 'allow'
  /** + MAIL is refused with 530 outside TLS */
  readonly require_tls: boolean
  /** + who would be refused so is told, and nobody is */
  readonly require_tls_shadow: boolean
  /** + whether session tickets are given and taken */
  readonly tls_session_tickets: boolean
  /** + whether Authentication-Results tells what came of the client's certificate */
  readonly tls_authentication_results: boolean
  /** + */
  readonly tls_dn_format: 'rfc4514' | 'oneline'
  /** + seconds */
  readonly tls_handshake_timeout: number
  /** + handshakes that one client address may have under way at once; 0 = no limit */
  readonly tls_max_handshakes_per_address: number
}

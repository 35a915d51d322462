/**
 * The predefined keys of the validation context (momentum: 4-policy-context-variables, 4-policy-context-mess, and our
 * own), for what can be said about a script that asks for something else.
 */

const words = (text: string): readonly string[] => text.trim().split(/\s+/)

export const connectionKeys: readonly string[] = words(`
  pathway can_relay ehlo_string ehlo_domain auth_name auth_status auth_user
  connection_message_count connection_rcpt_count message_rcpt_count _tls_note
  tls tls_cipher tls_cipher_algbits tls_cipher_usebits
  tls_client_cert_subject tls_client_cert_subject_cn tls_client_cert_issuer tls_client_cert_issuer_cn
  tls_client_verified tls_protocol tls_sni tls_resumed tls_client_verify_error tls_client_verify_depth tls_client_verify_subject
  tls_client_cert_serial tls_client_cert_fingerprint tls_client_cert_spki tls_client_cert_server_only
  tls_client_crl_forgiven tls_client_ocsp_forgiven
  tls_client_cert_san_dns tls_client_cert_san_email tls_client_cert_san_uri tls_client_cert_san_ip
  tls_client_cert_not_before tls_client_cert_not_after tls_verify_mode tls_verify_mode_from tls_partner
  proxy_tls proxy_tls_protocol proxy_tls_cipher proxy_tls_client_cert proxy_tls_client_verify proxy_tls_client_verified
  proxy_tls_client_cn proxy_tls_sig_alg proxy_tls_key_alg proxy_tls_authority proxy_tls_asserted_by
`)

export const messageKeys: readonly string[] = words(`
  mailfrom_string mailfrom_localpart mailfrom_domain rcptto_string rcptto_localpart rcptto_domain
  rfc2822_date_missing pathway
  spf_status spf_helo_status dkim_status dkim_domains dmarc_status dmarc_policy dmarc_domain arc_cv
`)

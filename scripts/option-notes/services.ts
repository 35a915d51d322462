/** One line of meaning for every option of an `HTTP_Listener`. */

import type { HttpValues } from '../../src/config/options-services.ts'
import type { Notes } from './notes.ts'

export const httpNotes: Notes<HttpValues> = {
  enable: 'whether the Listen is bound',
  listen_backlog: 'connections that the system holds until they are accepted; a change needs a restart',
  file_mode: 'permissions of a UNIX socket',
  use_ssl: 'TLS from the first octet; the TLS options are errors without it',
  tls_certificate: 'the server’s certificate and its intermediates, PEM',
  tls_key: 'its key; in the certificate’s file when not set',
  tls_client_ca: 'the CAs of client certificates',
  tls_client_crl: '+ their revocation lists',
  tls_client_ocsp:
    '+ whether the responders of the `TLS_OCSP` stanzas are asked about certificates that verify',
  tls_verify_mode:
    '`none` asks for no certificate, `require` demands one, unset asks; none of them decides who is answered',
  tls_verified_peer_is_authorized: 'only a client whose certificate verifies is answered, the others get 403',
  allowed_hosts:
    '+ names by which it is asked, in lists `( … )`, besides `Hostname`, `localhost` and any address; a request by another name gets 421; see [metrics.md](metrics.md#who-may-ask)',
  script_endpoints:
    '+ whether what scripts register with `msys.httpsrv.register` is served here; see [metrics.md](metrics.md#endpoints-of-scripts)',
  page: '+ whether the operators’ page is served here; it needs users or certificates, see [page.md](page.md)',
  authloginparameters:
    'whose passwords let somebody in to the page: `[ uri = "file:///…" ]`, `digest:///…` or the `name://` of a Scheme of `auth_ds`',
  enable_authorization:
    'whether roles decide who may see and do what on the page; not set: where `AuthorizationParameters` are given',
  authorizationparameters:
    'where the groups of the page’s users come from, as on [the console](console.md#who-may-use-it)',
  page_operators:
    '+ who may act on the page, in lists `( … )`: users, or subjects of certificates; all others who get in look only',
  tls_ciphers: 'OpenSSL cipher list up to TLS 1.2',
  tlsv13_ciphersuites: 'suites of TLS 1.3',
  tls_protocols: 'such as `+ALL:-TLSv1.2`',
  tls_handshake_timeout: '+ seconds',
  tls_max_handshakes_per_address: '+ handshakes that one address may have under way; 0 = no limit',
}

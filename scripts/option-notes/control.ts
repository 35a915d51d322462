/** One line of meaning for every option of a Control_Listener, of Authorization and of groups in databases. For docs/options.md. */

import type { ControlValues } from '../../src/config/options-control.ts'
import type { RoleSettings } from '../../src/config/settings-control.ts'
import type { GroupQuery, UserGroupQuery } from '../../src/config/settings-datasource.ts'
import type { Notes } from './notes.ts'

export const controlNotes: Notes<ControlValues> = {
  enable: 'whether the Listen is bound',
  listen_backlog: 'connections that the system holds until they are accepted; a change needs a restart',
  file_mode:
    'permissions of the socket: who may write to it may use the console, where nothing else is asked',
  timeout: 'seconds that a client may be silent; `Control_Client_Timeout` when not set',
  enable_authentication:
    'whether a client must log in; not set: on TCP, and where parameters of a mechanism are given. `false` on TCP is an error',
  enable_authorization:
    'whether roles decide which commands a user may give; not set: where `AuthorizationParameters` are given',
  authorizationparameters:
    '`[ uri = "groups:///path" ]`: lines `group:user,user`; or `[ uri = "name://" ]`: QueryGroups of that Scheme of `auth_ds`; without it a role is a user’s name',
  always_allow:
    'nobody needs to log in; on TCP only in the `Peer` of a loopback address, anything else is an error',
  always_deny: 'nobody comes in, whatever he knows',
  authplainparameters: 'whose passwords let somebody in: over TLS or a UNIX socket',
  authloginparameters: 'the same',
  authcrammd5parameters: 'by challenge and response, from passwords in clear text',
  authdigestmd5parameters:
    'by challenge and response: `[ uri = "digest:///path" realm = "console" ]`, lines of htdigest',
  authexternalparameters:
    '+ by a verified certificate: `[ identity = "cn" uri = "file:///path" ]`; needs a `TLS_Client_CA` in the Control_Listener itself',
  auth_failure_limit:
    '+ failed logins of an address in the window after which it is turned away; 0 = no limit',
  auth_failure_window: '+ seconds from the first failure after which an address starts anew',
  auth_failure_delay: '+ the longest wait before a failure is answered, seconds; it doubles with each',
  use_ssl: 'TLS from the first octet, on TCP; the TLS options are errors without it',
  tls_certificate: 'the server’s certificate and its intermediates, PEM',
  tls_key: 'its key; in the certificate’s file when not set',
  tls_client_ca: 'the CAs of operators’ certificates',
  tls_client_crl: '+ their revocation lists',
  tls_verify_mode: '`none` asks for no certificate, `require` demands one, unset asks',
  tls_ciphers: 'OpenSSL cipher list up to TLS 1.2',
  tlsv13_ciphersuites: 'suites of TLS 1.3',
  tls_protocols: 'such as `+ALL:-TLSv1.2`',
  tls_handshake_timeout: '+ seconds',
  tls_max_handshakes_per_address: '+ handshakes that one address may have under way; 0 = no limit',
}

export const roleNotes: Notes<Pick<RoleSettings, 'allow'>> = {
  allow:
    'a list of patterns; a command in which one of them is found may be given by the user, or the group, of the role’s name',
}

export const enumGroupsNotes: Notes<GroupQuery> = {
  query: 'SQL, without values: the groups that there are, one in each row',
  cache: 'name of the datasource',
  group_column: 'column of the group’s name; the first one unless given',
}

export const queryGroupsNotes: Notes<UserGroupQuery> = {
  query: 'SQL with `:name` where values go: the groups of a user, one in each row',
  cache: 'name of the datasource; what it keeps is not used for groups',
  group_column: 'column of the group’s name; the first one unless given',
  map: '`[ user = "%{username}" ]`: what each `:name` of the query is; `username`, `username_localpart`, `username_domain`, `uri`',
}

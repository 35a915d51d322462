/**
 * Recognised options that keep somebody or something out when they are set: ignoring such a value would
 * leave a door open that the operator believes shut, so it is an error until the option is built. Decided name by
 * name over the public summary; limits of outbound rates, queues and memory are not among them, and options that
 * only grant something are not either, since ignoring a grant is the stricter side.
 */

/** Texts that keep nobody out, so that they are only warned about. Anything else, also a mistyped word, is an error. */
export const restricting: Readonly<Record<string, RegExp>> = {
  // who may come in
  enable_authentication: no(),
  enable_authorization: no(),
  // of an HTTP_Listener
  always_deny: no(),
  authorizationparameters: nothing(),
  inbound_throttle_messages: /^0(?:\/\d+)?$/,

  // what is refused of a message
  rfc2822_date_header: /^(?:ifneeded|ignore)$/i,
  rfc2822_messageid_header: /^(?:ifneeded|ignore)$/i,
  rfc2822_missing_headers: /^allow$/i,
  rfc2822_lone_lf_in_headers: /^(?:fix|ignore)$/i,
  rfc2822_lone_lf_in_body: /^(?:fix|ignore)$/i,
  rfc2822_max_line_length: /^(?:fix|ignore|\d+)$/i,
  rfc2822_max_line_length_policy: /^(?:none|fix)$/i,

  // what the process may do
  chroot: nothing(),

  // a module that is switched off would run
  enabled: yes(),
}

/** Values that say what happens here anyway: nothing to warn about. */
export const alreadySo: Readonly<Record<string, RegExp>> = {
  tls_engine: /^openssl$/i,
}

function yes(): RegExp {
  return /^(?:on|true|enabled|1|yes)$/i
}

function no(): RegExp {
  return /^(?:off|false|disabled|0|no)$/i
}

/** Empty text, an empty list or an empty dictionary. */
function nothing(): RegExp {
  return /^$/
}

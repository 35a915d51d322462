/**
 * Names of Momentum's Lua surface (4-lua-summary-table): constants that scripts compare with, callouts, and what is
 * recognised but not built, so that it can say so instead of being nil.
 */

/** msys.core. The numbers are ours; scripts use the names. */
export const constants = {
  VALIDATE_CONT: 0,
  VALIDATE_DONE: 1,
  VALIDATE_AGAIN: 2,
  VCTX_CONN: 1,
  VCTX_MESS: 2,
  ECMESS_CTX_CONN: 1,
  ECMESS_CTX_MESS: 2,
  EC_AUTH_OK: 16,
  EC_AUTH_FAIL: 17,
  EC_AUTH_ERROR: 18,
  EC_MIME_TE_7BIT: 0,
  EC_MIME_TE_8BIT: 1,
  EC_MIME_TE_BASE64: 2,
  EC_MIME_TE_QUOTED_PRINTABLE: 3,
  EC_HOOK_CONT: 0,
  EC_MSG_ENV_FROM: 1,
  EC_MSG_ENV_TO: 2,
  EC_MSG_ENV_COMPLETE: 4,
  EC_HOOK_DONE: 1,
  EC_HOOK_RETRY: 2,
  P_ESMTP: 1,
  ECTP_COMPLETE_CALLBACK: 0,
  ECTP_COMPLETE_CALLBACK_SCHED: 1,
  LOG_EMERG: 0,
  LOG_ALERT: 1,
  LOG_CRIT: 2,
  LOG_ERR: 3,
  LOG_ERROR: 3,
  LOG_WARNING: 4,
  LOG_NOTICE: 5,
  LOG_INFO: 6,
  LOG_DEBUG: 7,
} as const

/** Callouts that decide and are not asked in this version: a script that relies on one must not be loaded. */
export const unaskedDecisions: readonly string[] = [
  'core_pre_ec_can_relay_to',
  'core_config_get_domain_relay',
  // without it mail would leave without the TLS that a script asks for
  'core_get_outbound_tls_parameters',
]

/** Callouts that observe or clean up and are not called in this version. */
export const uncalledObservers: readonly string[] = [
  'core_config_get_message_routing_domain',
  'core_ec_ssl_SSL_CTX_fixup',
  'core_get_protocol_string_for_trace_headers',
  'core_get_received_header_text',
  'core_ec_message_enqueue',
  'core_smtp_tls_reporting',
  'http_request_eval',
  'http_response_eval',
  'generic_delivery_msg_dispose',
  'outbound_smtp_auth_config',
  'outbound_smtp_auth_v0_config',
]

const names = (prefix: string, list: string): string[] => list.split(' ').map((name) => `${prefix}${name}`)

export const unbuiltFunctions: readonly string[] = [
  ...names('msys.', 'snmpTrap inject'),
  ...names('msys.core.', 'io_wrapper_open dns_get_domain mail_queue_delay_domain'),
  ...names('msys.os.', 'statvfs_subscribe statvfs_read'),
  ...names('msys.threadpool.', 'count find stat'),
  ...names('msys.bounce.', 'classify classify_smtp_response'),
  ...names(
    'msys.rfc3464.',
    'compute_delivery_status compute_delivery_status_string create_mdn send_mdn extract_delivery_status',
  ),
  ...names('msys.validate.dk.', 'verify sign get_responsible_domain'),
  ...names('msys.validate.dkim2.', 'verify sign ar_clauses'),
  ...names('msys.validate.openarc.', 'sign seal'),
  ...names('msys.delivery.', 'ob_get_current_message'),
  ...names('msys.pbp.', 'action disconnect'),
  ...names('curl.', 'new escape unescape'),
  ...names('xml.', 'parsexml'),
  ...names('msys.', 'adaptive.registerRules mstore.load ts.chunk_logger.log'),
  ...names('msys.beta.', 'chunk_logger_int.log rcptto_proxy.query'),
  ...names('msys.', 'apn.apn_status_classifier gcm.gcm_classify_error gcm.gcm_get_result_error_code'),
  ...names('msys.', 'httpclnt.http_status_classifier'),
  // scanners of other makers
  ...names('msys.av.', 'engines scan scan_part'),
  ...names('msys.', 'brightmail.scan commtouch.diagnose expurgate.scan spamc.spamc_scan symantec_beik.scan'),
  ...names('msys.cloudmark.', 'analyze score score_af add_af_data set_af_mode_discard set_af_mode_keep'),
  ...names('msys.cloudmark.', 'set_af_mode_movemsg set_af_msi_address'),
  // Momentum 3
  ...names('msys.', 'runSieveScript shareGet shareSet shareUnset'),
  ...names('msys.policyeditor.', 'del_header get_binding_domain_failure_rate get_header get_mailfrom'),
  ...names('msys.policyeditor.', 'get_mess_recv_from get_mess_recv_via get_rcptto get_variable pcre_match'),
  ...names('msys.policyeditor.', 'send_email send_trap set_binding set_binding_group set_variable'),
  ...names('msys.policyeditor.', 'vctx_conn_get vctx_conn_set vctx_mess_get vctx_mess_set'),
  ...names('msys.validate.dkim.', 'get_domains get_responsible_domain get_verify_results reflect sign'),
  ...names('msys.validate.dkim.', 'verify_results_get_count verify_results_get_item verify_status_to_string'),
]

/** Fields of objects: reading or setting one is an error that names it. */
export const unbuiltFields: readonly string[] = [
  'ac.inst',
  ...names('vctx.', 'tcost transparency needs_auth_results body_has_changed'),
]

export const unbuiltMethods: Readonly<
  Record<'vctx' | 'ac' | 'msg' | 'mc' | 'params' | 'response', readonly string[]>
> = {
  vctx: [],
  ac: [],
  msg: [],
  mc: [],
  params: [],
  response: [],
}

/** Of the parts that msg:mime() gives. */
export const partMethods: readonly string[] = [
  ...names('', 'header address_header content_type text body raw text_match body_match raw_match'),
  ...names('', 'text_replace body_replace raw_replace unlink'),
]
/** Those whose argument is another part. */
export const placingMethods: readonly string[] = names(
  '',
  'addFirstChild addLastChild insertAfter insertBefore',
)

/** Modules that belong to engines, channels and tools which are not here. */
const modulesOfOthers: readonly string[] = [
  ...names('msys.', 'adaptive apn av beta.chunk_logger_int beta.rcptto_proxy brightmail cloudmark commtouch'),
  ...names('msys.', 'expurgate gcm getopt httpclnt mstore sign.dk spamc symantec_beik'),
  ...names('msys.', 'policyeditor ts.chunk_logger validate.dkim validate.dkim2'),
  ...names('', 'strict'),
]

/** Names that `require` answers. Those outside `msys` give way to a file of that name beside the script. */
export const knownModules: readonly string[] = [
  ...names('msys.', 'extended.vctx extended.message extended.ac extended.message_routing'),
  ...names(
    'msys.',
    'timer dumper pcre cidr db datasource audit audit_series gauge_cache counter base64 qp idn http.client',
  ),
  ...names(
    'msys.',
    'os threadpool httpsrv extended.httpsrv bounce rfc3464 tls_params validate.opendkim validate.dk validate.openarc delivery pbp',
  ),
  ...names('', 'msys json curl xml thread opendkim.dkim'),
  ...modulesOfOthers,
]

/** Those of `knownModules` of which nothing works yet: worth a warning when a script asks for one. */
export function isUnbuiltModule(name: string): boolean {
  return unbuiltModules.includes(name)
}

/** Modules of which nothing works. */
export const unbuiltModules: readonly string[] = [
  ...names('msys.', 'os threadpool bounce rfc3464'),
  ...names('msys.', 'validate.dk delivery pbp'),
  ...names('', 'curl xml'),
  ...modulesOfOthers,
]

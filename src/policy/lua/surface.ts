/**
 * Every function of Momentum's Lua surface and what became of it. The compatibility page is made from this table, and a
 * test looks each name up in a running state.
 *
 * Methods are written `object:name`, fields `object.name` where the object is one of a callout.
 */

export type Status = 'same' | 'differs' | 'not yet' | 'never'

export interface SurfaceRow {
  /** names separated by blanks, with the group's prefix in front of each */
  readonly names: string
  readonly status: Status
  /** what differs and why; may be absent for `same` and `not yet` */
  readonly note?: string
}

export interface SurfaceGroup {
  readonly title: string
  readonly prefix: string
  readonly rows: readonly SurfaceRow[]
}

const same = (names: string, note?: string): SurfaceRow => ({
  names,
  status: 'same',
  ...(note === undefined ? {} : { note }),
})
const differs = (names: string, note: string): SurfaceRow => ({ names, status: 'differs', note })
const notYet = (names: string): SurfaceRow => ({ names, status: 'not yet' })
const never = (names: string, note: string): SurfaceRow => ({ names, status: 'never', note })

export const surface: readonly SurfaceGroup[] = [
  {
    title: 'Modules and registration',
    prefix: '',
    rows: [
      same('msys.registerModule'),
      same('require', 'modules beside the script, and the names of Momentum’s'),
      same('msys.log'),
      same('print', 'at most 100 lines a callout'),
    ],
  },
  {
    title: 'The server',
    prefix: 'msys.',
    rows: [
      differs(
        'registerAuth',
        '`authenticate` is asked; `enumGroups` and `queryGroups` are not: groups of operators come from files and `auth_ds`',
      ),
      differs('registerControl', '`cc.argv` beyond the end is nil and no crash'),
      differs('config', '`get` and `eval` alone: a script cannot change the configuration'),
      differs(
        'expandMacro',
        '`%{vctx_conn:…}` and `%{vctx_mess:…}`; any other macro is an error, not a text in a reply',
      ),
      same('asyncOk'),
      differs(
        'runInPool runInInst',
        'run here, one at a time; the asynchronous form runs in a callout of its own',
      ),
      differs(
        'sleep',
        'at most 300 s; where nothing can wait it is an error and does not hold up the process',
      ),
      differs('lock unlock', 'suspend the script; what a callout still holds when it ends is given back'),
      same('type'),
      differs('cast', 'only to what the object is; anything else is an error and no crash'),
      differs('getClassMetaTable', 'a table whose `__index` holds the methods, to add some'),
      differs('readfile', 'files of at most 16 MiB; no other URIs'),
      notYet('snmpTrap inject'),
    ],
  },
  {
    title: 'The core',
    prefix: 'msys.core.',
    rows: [
      same('get_now_ts string_new accept_construct_get_message_construct'),
      differs(
        'ec_message_new',
        'from `validate_data` on, at most 20 in a callout, and gone when it ends; filled by `msg:build` and the like, sent by `msg:inject`',
      ),
      same('dict_iter2 dict_next dict_iter2_free', 'dictionaries are tables'),
      differs('scheduler_for_domain', 'there is one event loop'),
      notYet('io_wrapper_open dns_get_domain mail_queue_delay_domain'),
    ],
  },
  {
    title: 'Timers and threads',
    prefix: '',
    rows: [
      same(
        'msys.timer.after msys.timer.at msys.timer.every',
        'at most 1000; stopped when the scripts are reloaded',
      ),
      differs('thread.mutex', 'suspends the script; given back when its callout ends'),
    ],
  },
  {
    title: 'Context',
    prefix: 'vctx:',
    rows: [
      same('get set set_code disconnect tarpit'),
      same('add_recipient remove_recipient recipient_list pbp_action pbp_disconnect'),
    ],
  },
  {
    title: 'Connection',
    prefix: 'ac:',
    rows: [
      differs('esmtp_capability_add', 'never a word that the session announces by its own rules'),
      same('esmtp_capability_remove inbound_session_count'),
    ],
  },
  {
    title: 'Message',
    prefix: 'msg:',
    rows: [
      same('context_get context_set context_exists context_exists_and_get context_delete'),
      same('mailfrom rcptto header address_header code discard reception_peer listener_addr'),
      same('get_message_size get_delivery_method get_envelope2 is_mcmt routing_domain'),
      differs(
        'binding binding_group',
        'a name that no binding or group has is nil; of a group any binding is taken',
      ),
      differs('raw body text', 'up to 16 MiB; line ends become CR LF'),
      differs('raw_match body_match text_match', 'the first match, as `msys.pcre.match` has it'),
      differs('raw_replace body_replace text_replace', 'patterns as in `msys.pcre`'),
      same('mime', 'parts that are not edited stay octet for octet'),
      differs('inject forward', 'wait until the new message is on stable storage; bounded'),
      same('makeBoundary makeContainer makePart'),
      differs(
        'build',
        'makes the message at hand anew, whose Received fields stay; plain text first, then HTML; all base64 above 1 MiB',
      ),
    ],
  },
  {
    title: 'Fields of the message',
    prefix: 'msg.',
    rows: [same('id batch_id conn_id priority')],
  },
  {
    title: 'Patterns',
    prefix: 'msys.pcre.',
    rows: [
      differs(
        'match replace split',
        'a matcher of our own, over octets: no UTF mode, conditions, recursion, verbs, `\\G` or `\\X` (each refused by name); `replace` changes every match; a group that took no part has no entry; bounded by the callout’s budget',
      ),
    ],
  },
  {
    title: 'Look-ups',
    prefix: 'msys.',
    rows: [
      same('dnsLookup', 'an address as name for PTR is turned round'),
      differs(
        'cidr.define',
        '`empty` and `rbldnsd`, from files; `datasource` is refused; a list that cannot be read keeps the script out',
      ),
      same('cidr.query cidr.reload'),
      same('db.query db.fetch_row db.execute'),
    ],
  },
  {
    title: 'Counting',
    prefix: 'msys.',
    rows: [
      differs(
        'counter.open counter.add counter.inc counter.read counter.reset counter.unlink',
        'of this process; STRICT and RELAXED are the same',
      ),
      differs(
        'gauge_cache.define gauge_cache.inc gauge_cache.dec gauge_cache.get gauge_cache.remove_item',
        'of this process, not replicated; what is not there reads as 0',
      ),
      differs(
        'audit_series.define audit_series.add audit_series.count audit_series.remove_item',
        'of this process; `serialize`, `replicate` and `persist` are noted in paniclog and do nothing',
      ),
      differs(
        'audit.connections audit.receptions audit.rejections',
        'a monitor needs no configuration and counts from when a script first asks; at most ten',
      ),
      differs('audit.inbound_session_count', 'the service SMTP alone'),
    ],
  },
  {
    title: 'Codecs',
    prefix: '',
    rows: [
      differs(
        'msys.base64.encode msys.base64.decode msys.qp.encode msys.qp.decode',
        'to charsets of single octets and UTF-8 only; texts of at most 4 MiB',
      ),
      same('msys.idn.to_idn msys.idn.to_utf8', 'what cannot be converted is nil and a message'),
      differs(
        'json.new json.encode json.decode json.strerror',
        'objects are tables: they can be walked; members are written in the order of their names',
      ),
      same('msys.parseRFC2822Addresses'),
      same('msys.dumper.Dumper', 'the layout is ours'),
      notYet('xml.parsexml'),
    ],
  },
  {
    title: 'HTTP',
    prefix: '',
    rows: [
      same('msys.http.client.new'),
      differs(
        'msys.httpsrv.register',
        'on an `HTTP_Listener` with `Script_Endpoints = true`; the third argument is the function; the path is compared whole, a slash at its end does not count. `session:request_url_get` returns a table, whose `attrs` is a table too; `session:response_status_set_std` takes a status from 200 to 599 and at most 1 MiB; the body of a request is not read',
      ),
      notYet('curl.new curl.escape curl.unescape'),
    ],
  },
  {
    title: 'The HTTP client',
    prefix: 'client:',
    rows: [
      differs(
        'do_request',
        'returns true, or nil and a message; http and https to the URL given, no redirection; responses of at most 1 MiB, 30 s unless set; certificates are verified',
      ),
      same('set_header set_timeout get_status get_headers get_body parse_headers'),
    ],
  },
  {
    title: 'TLS parameters',
    prefix: 'msys.tls_params.',
    rows: [same('set')],
  },
  {
    title: 'Bounces, reports, signatures, resources',
    prefix: 'msys.',
    rows: [
      notYet('bounce.classify bounce.classify_smtp_response'),
      notYet('rfc3464.compute_delivery_status rfc3464.compute_delivery_status_string rfc3464.create_mdn'),
      notYet('rfc3464.send_mdn rfc3464.extract_delivery_status'),
      differs(
        'validate.opendkim.verify',
        'finds the results of `opendkim { validate = true }`, and is an error without it',
      ),
      same('validate.opendkim.get_num_sigs validate.opendkim.get_sig validate.opendkim.get_sig_domain'),
      same('validate.opendkim.get_sig_selector validate.opendkim.get_sig_signalg'),
      same('validate.opendkim.get_sig_hdrsigned validate.opendkim.get_sig_identity'),
      same('validate.opendkim.get_sig_canons', 'both forms, with a slash between them'),
      differs('validate.opendkim.get_sig_errorstr', 'a word of ours'),
      differs(
        'validate.opendkim.get_sig_flags',
        'PROCESSED, PASSED and KEYLOADED; a test key is not told apart',
      ),
      differs('validate.opendkim.get_sig_keysize', '0 for a key that was not found'),
      differs(
        'validate.opendkim.sign',
        'from `validate_data_spool_each_rcpt` on; signs when policy has had its last word, so that nothing changes under it; the options table is needed; no `rsa-sha1`, no `body_length_limit`; a key that cannot be used is an error; oversigned as by default',
      ),
      notYet('validate.openarc.sign validate.openarc.seal'),
      differs(
        'validate.openarc.verify',
        'finds the result of `openarc { validate = true }`, and is an error without it',
      ),
      never('validate.dk.sign validate.dk.get_responsible_domain', 'DomainKeys is historic (RFC 4870)'),
      notYet('os.statvfs_subscribe os.statvfs_read delivery.ob_get_current_message'),
      never('threadpool.count threadpool.find threadpool.stat', 'there are no thread pools'),
    ],
  },
  {
    title: 'Engines and channels of others',
    prefix: 'msys.',
    rows: [
      never(
        'av.engines av.scan av.scan_part brightmail.scan commtouch.diagnose expurgate.scan',
        'the engines are not ours to give',
      ),
      never('symantec_beik.scan cloudmark.analyze cloudmark.score', 'the engines are not ours to give'),
      never(
        'apn.apn_status_classifier gcm.gcm_classify_error httpclnt.http_status_classifier',
        'push messages are no mail',
      ),
    ],
  },
]

/** Each name by itself, as a script would write it. */
export function surfaceNames(status: Status): readonly string[] {
  return surface.flatMap(({ prefix, rows }) =>
    rows
      .filter((row) => row.status === status)
      .flatMap((row) => row.names.split(' ').map((name) => prefix + name)),
  )
}

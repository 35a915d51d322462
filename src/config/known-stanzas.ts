/**
 * Every stanza of Momentum that is not read here, with the scopes in which it may stand: core scopes of the public
 * summary (config-options-summary) and modules (modules/summary-all-modules and the modules' own pages). Each is parsed
 * and skipped as a whole. Those that would keep somebody out are listed apart: skipping them would open a door.
 */

import type { KnownNames } from './known-options.ts'

export const knownStanzas: readonly KnownNames[] = [
  {
    scopes: 'global',
    names: `
      adaptive_backstore_leveldb adaptive_backstore_riak binding_auto_replumb
      binding_auto_replumb_interval curfew debug_flags eccluster_listener ecstream_listener
      eventloop logs msgcserver_listener snmp snmp_traps threadpool xmpp_listener
    `,
  },
  { scopes: 'binding binding_group domain global', names: 'adaptive_sweep_rule' },
  { scopes: 'logs', names: 'manager' },
  { scopes: 'cluster', names: 'topology' },
  { scopes: 'authorization cluster', names: 'replicate' },
  {
    // modules
    scopes: 'global',
    names: `
      adaptive alias antivirus apn apn_logger as_logger auth_radius beik bind_address_secondary
      bounce_classifier_override brightmail bzip2io cassandra_client chunk_logger cidrdb clamav cloudmark cluster
      commtouch_ctasd compress_spool conntrol csapi csapi4 custom_bounce_logger delay_dsn dk_sign dkim2 dk_validate dkim_sign dkim_validate dnsbuf domainkeys ds_core ds_ldap ds_mysql ds_pgsql
      ds_sqlite eleven engagement_tracker event_hydrant exim_logger fbl fingerprint gcm gcm_logger gzipio
      ha_proxy_client http_logger httpsrv icu ilf_logger inbound_audit ipv6_lookup jlog live_bounce_updates mail_loop
      mm7 mm7_serv mms_bounce_logger mms_logger msg_gen msgc_client msgc_server mxip outbound_audit
      outbound_smtp_auth_v0 persist_io pipe_io postfix_logger reception_timing reception_timing_logger
      response_transcode restinjector sched securecreds seedlist senderid sendmail_logger smpp smpp_bounce_logger
      smpp_logger smtp_auth_proxy smtp_cbv smtp_rcptto_proxy smtpapi spamassassin spf_macros static_routes
      substitution_engine suppress_spool syslog_io url_ripper
    `,
  },
]

/**
 * Modules that refuse a client or a message by themselves, without a script: skipping them would weaken the gate.
 * Modules that only put facts into the context are not among them, and mail_loop's limit is Max_Received_Headers here.
 * @param inside the texts that an option has anywhere in the stanza, in lower case
 */
export const restrictingStanzas: Readonly<
  Record<string, (inside: (option: string) => readonly string[]) => boolean>
> = {
  // refuses what the engine finds, unless every engine passes it on to a script
  antivirus: (inside) =>
    inside('action').length === 0 || inside('action').some((action) => action !== 'pass'),
  // disconnects clients that talk before the banner
  conntrol: (inside) => inside('disconnect_ratware').length > 0,
  // of an HTTP_Listener: what holds for one network alone
  peer: () => true,
  // refuses senders that cannot be called back
  smtp_cbv: () => true,
}

/** Stanzas that are accepted and not needed: no warning. */
export const acceptedStanzas: readonly string[] = [
  'ac_auth',
  'alerting',
  'dane',
  'delay_dsn',
  'outbound_smtp_auth',
  'tls_macros',
]

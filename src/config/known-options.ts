/**
 * Every option of Momentum's public summary (config-options-summary), and of the pages that name further ones, with
 * the scopes in which it is valid. Facts only. Options that act have a row in the option tables besides; the others
 * are recognised and do nothing yet. `known-names.ts` reads this.
 */

/** Words with white space between them. */
export interface KnownNames {
  readonly scopes: string
  readonly names: string
}

export const knownOptions: readonly KnownNames[] = [
  {
    scopes: 'adaptive_sweep_rule',
    names: 'codes high_action high_threshold low_action low_threshold',
  },
  {
    scopes: 'binding',
    names: 'bind_address_secondary',
  },
  {
    scopes:
      'binding binding_group domain ecstream_listener esmtp_listener global http_listener listen ' +
      'pathway pathway_group peer',
    names: 'tls_protocols',
  },
  {
    scopes:
      'binding binding_group domain ecstream_listener esmtp_listener global http_listener listen ' +
      'pathway pathway_group peer xmpp_listener',
    names: 'tls_certificate tls_ciphers tls_key',
  },
  {
    scopes:
      'binding binding_group domain esmtp_listener global http_listener listen pathway pathway_group ' +
      'peer',
    names: 'tlsv13_ciphersuites',
  },
  {
    scopes: 'binding binding_group domain esmtp_listener global listen peer',
    names: 'max_recipients_per_connection',
  },
  {
    scopes: 'binding binding_group domain global',
    names: `
      adaptive_adjustment_interval adaptive_alert_email_destination adaptive_attempt_threshold
      adaptive_body_timeout adaptive_default_suspension adaptive_ehlo_timeout adaptive_enabled
      adaptive_fbl_volume_threshold adaptive_idle_timeout adaptive_mailfrom_timeout
      adaptive_max_deliveries_per_connection adaptive_max_outbound_connections
      adaptive_max_recipients_per_batch adaptive_max_recipients_per_connection
      adaptive_max_resident_active_queue adaptive_max_retries adaptive_max_retry_interval
      adaptive_notification_events adaptive_notification_interval adaptive_outbound_throttle_messages
      adaptive_positive_adjustment_interval adaptive_rcptto_timeout
      adaptive_rejection_rate_suspension_percentage adaptive_retry_fuzz adaptive_retry_interval
      adaptive_rset_timeout adaptive_scope adaptive_sweep_rule_enabled apn_expiry blackhole body_timeout
      bounces_inline_original connect_timeout connect_timeout_to_delay connection_allocation_aggressiveness
      delay_dsn_max_retry_interval delay_dsn_retry_interval delayed_reroute_domain delivery_method domainkeys
      drop_body_after_trans_fail ecstream_port ecstream_timeout ehlo_hostname ehlo_timeout enable_dane
      enable_fbl_header_insertion enable_mta_sts exclude_vctx_conn exclude_vctx_mess fully_resolve_before_smtp
      gateway gcm_application_id gcm_authorization_token_id gcm_delay_while_idle gcm_dry_run gcm_ttl
      generate_bounces generate_delay_dsn ha_proxy_bypass ha_proxy_ipv6_src_addr ha_proxy_server
      ha_proxy_src_addr http_basic_auth http_host http_method http_uri http_version idle_timeout lmtp_port
      mailerdaemon mailfrom_timeout max_deliveries_per_connection max_recipients_per_batch
      max_resident_active_queue max_resident_active_queue_size max_retries max_retry_interval
      mdn_failures_notify message_expiration mm7_delivery_report mm7_message_class mm7_vasid mm7_vaspid
      never_attempt_expired_messages never_retry opendkim_sign outbound_smtp_auth_id outbound_smtp_auth_key
      outbound_smtp_auth_pass outbound_smtp_auth_type outbound_smtp_auth_user rcptto_timeout remote_smtp_port
      reroute_domain response_transcode_pattern response_transcode_replace retry_interval rset_timeout
      scope_max_outbound_connections send_8bitmime suspend_delivery tls tls_ca
      tls_fallback_always_new_connection tls_ifavailable_fallback tls_verify transform_8bitmime_content
      xclient
    `,
  },
  {
    scopes: 'binding binding_group domain global host',
    names: `
      cluster_scope_max_outbound_connections max_outbound_connections outbound_throttle_connections
      outbound_throttle_messages
    `,
  },
  {
    scopes: 'binding binding_group global',
    names: `
      bind_address cluster_server_max_outbound_connections delayed_binding_domain_fuzz max_resident_messages
      server_max_outbound_connections
    `,
  },
  {
    scopes: 'binding domain global',
    names: 'delivery_response_timeout',
  },
  {
    scopes: 'binding domain global host',
    names: 'cluster_max_outbound_connections',
  },
  {
    scopes: 'binding listen',
    names: 'duravip_preference enable_duravip',
  },
  {
    scopes: 'binding_group domain global',
    names: 'cluster_outbound_throttle_connections cluster_outbound_throttle_messages',
  },
  {
    scopes: 'cluster',
    names: `
      arp_all_hosts cluster_group control_group debug_level duravip_balance_set_size enabled
      heartbeat_start_delay heartbeats_per_sec if_check_interval if_down_limit log_active_interval log_group
      log_idle_interval logs nodeaddr nodename unconditional_rebind view_balance_interval
      view_broadcast_interval view_mature_time
    `,
  },
  {
    scopes: 'cluster global',
    names: 'tcp_buffer_size',
  },
  {
    scopes: 'control_listener',
    names: 'timeout',
  },
  {
    scopes:
      'control_listener eccluster_listener ecstream_listener esmtp_listener global http_listener listen ' +
      'xmpp_listener',
    names: 'disable_nagle_algorithm',
  },
  {
    scopes:
      'control_listener eccluster_listener ecstream_listener esmtp_listener http_listener listen logs ' +
      'msgcserver_listener xmpp_listener',
    names: 'file_mode',
  },
  {
    scopes:
      'control_listener eccluster_listener ecstream_listener esmtp_listener http_listener listen ' +
      'msgcserver_listener xmpp_listener',
    names: 'accept_queue_backlog enable',
  },
  {
    scopes:
      'control_listener eccluster_listener ecstream_listener esmtp_listener http_listener listen ' +
      'threadpool xmpp_listener',
    names: 'concurrency',
  },
  {
    scopes:
      'control_listener eccluster_listener ecstream_listener esmtp_listener http_listener listen ' +
      'xmpp_listener',
    names: 'events_per_iter listen_backlog pool_name tcp_recv_buffer_size tcp_send_buffer_size',
  },
  {
    scopes: 'control_listener ecstream_listener esmtp_listener http_listener listen peer xmpp_listener',
    names: 'proxy_protocol proxy_protocol_timeout',
  },
  {
    scopes: 'control_listener esmtp_listener http_listener listen pathway pathway_group peer',
    names: 'always_allow always_deny enable_authentication',
  },
  {
    scopes: 'control_listener esmtp_listener http_listener listen pathway pathway_group peer xmpp_listener',
    names: 'authdigestmd5parameters',
  },
  {
    scopes: 'control_listener esmtp_listener listen',
    names: 'authorizationparameters',
  },
  {
    scopes: 'control_listener esmtp_listener listen pathway pathway_group',
    names: 'authcrammd5parameters authloginparameters',
  },
  {
    scopes: 'control_listener listen peer',
    names: 'enable_authorization',
  },
  {
    scopes: 'curfew',
    names: 'schedule_file timezone',
  },
  {
    scopes: 'debug_flags',
    names: 'critical debug error info notice warning',
  },
  {
    scopes: 'domain',
    names: 'xmpp_dialback_secret xmpp_role',
  },
  {
    scopes: 'domain global',
    names: `
      bounce_behavior bounce_pattern dns_failures_to_purge host_failure_retry mx_failures_fallback_to_a
      mx_failures_to_delay routes use_dane use_mta_sts
    `,
  },
  {
    scopes: 'domain global pathway pathway_group',
    names: 'alias_schemes',
  },
  {
    scopes:
      'ecstream_listener esmtp_listener global http_listener listen pathway pathway_group peer ' +
      'xmpp_listener',
    names: 'tls_client_ca',
  },
  {
    scopes: 'ecstream_listener esmtp_listener http_listener listen pathway pathway_group peer',
    names: 'use_ssl',
  },
  {
    scopes: 'ecstream_listener esmtp_listener http_listener listen pathway pathway_group peer xmpp_listener',
    names: 'tls_allow_renegotiation tls_verify_mode',
  },
  {
    scopes: 'ecstream_listener esmtp_listener listen',
    names: 'event_loop',
  },
  {
    scopes: 'ecstream_listener esmtp_listener listen pathway pathway_group peer',
    names: 'tls_verified_peer_can_relay',
  },
  {
    scopes: 'ecstream_listener esmtp_listener listen peer',
    names: 'pathway',
  },
  {
    scopes: 'ecstream_listener listen pathway pathway_group peer',
    names: 'ecstream_idle_time ecstream_max_batch_size',
  },
  {
    scopes: 'esmtp_listener',
    names: 'reconfig_message',
  },
  {
    scopes: 'esmtp_listener global listen pathway pathway_group peer',
    names: `
      allow_ip_literal allow_null_envelope_sender allow_trailing_whitespace_in_commands
      domain_for_unqualified_recipient_addresses domain_for_unqualified_sender_address
      max_receptions_per_connection relay_hosts require_ehlo
    `,
  },
  {
    scopes: 'esmtp_listener http_listener listen pathway pathway_group peer xmpp_listener',
    names: 'idle_time',
  },
  {
    scopes: 'esmtp_listener http_listener listen pathway pathway_group xmpp_listener',
    names: 'authplainparameters',
  },
  {
    scopes: 'esmtp_listener listen pathway pathway_group peer',
    names: `
      banner_hostname click_tracking_enabled click_tracking_scheme context listener_sessions max_message_size
      max_recipients_per_message mcmt_reception open_relay open_tracking_enabled open_tracking_scheme
      received_hostname relay_for_sending_domains service_sessions smtp_extensions starttls_injection_policy
      static_banner tracking_domain tracking_link_expiry
    `,
  },
  {
    scopes: 'global',
    names: `
      _unsafe_spool address_metrics_cleanse_interval address_metrics_lifetime async_bounce_rendering
      binding_auto_replumb binding_auto_replumb_interval bounce_suppress_list clear_mail_queue_maintainers
      control_client_timeout crypto_engine crypto_lock_method debug_throttle_max_num_same_message
      debug_throttle_period_secs default_binding delayed_queue_scan_interval delivery_pool
      disk_queue_drain_rate dns_cache_purge_interval dns_expire_interval dns_fallback_to_tcp
      dns_max_udp_queries_per_port dns_rate_limit_enabled dns_rate_limit_max_queue dns_rate_limit_mx_queries
      dns_rate_limit_period dns_udp_rcvbuf_size dns_udp_sndbuf_size expensive_batch_assessment force_fsync
      generic_getter_cache_size growbuf_size hostname hot_domains initial_hash_buckets
      inline_transfail_processing keep_message_dicts_in_memory large_message_threshold
      legacy_message_threshold license log_hires_timestamp
      mail_queue_check_vm_interval maintainer_pool malloc2mmap_threshold masterdb_file match_cache_life
      match_cache_size max_dns_ttl max_resident_transfails max_timed_events_per_iter memory_goal memory_hwm
      migrate_connections_between_sibling_domains mime_parse_large_messages_during_reception min_dns_ttl
      mta_sts_dns_cname_max_depth mta_sts_policy_store only_use_best_mx_for_relay_domains pcre_cache_size
      pcre_cache_ttl permastore_interval pidfile prefer_ipv6_mxs prohibited_hosts reserve_maintenance_interval
      resolv_conf scheduler server_max_file_descriptors server_reserve_outbound_connections signing_stats
      siv_throttle_cache_size skip_hosts soft_bounce_drain_rate spool_mode spoolbase ssl_lock_method
      swap_out_meta_after_each_tempfail timestampformat tls_dhparams_file tls_ec_curve_names
      tls_enable_dhe_ciphers tls_engine tlsa_expire_interval transfail_drain_rate
      unlink_on_spool_in_failure use_iflist_cache use_ipv6 use_mmap use_sendfile
    `,
  },
  {
    scopes: 'global pathway pathway_group',
    names: `
      bounce_domains default_charset generate_bounces_for_multi_recipient_policy_rejections
      inbound_throttle_messages relay_domains rfc2821_allow_whitespace_in_envelope
      rfc2821_pedantic_address_rules rfc2822_date_header rfc2822_lone_lf_in_body rfc2822_lone_lf_in_headers
      rfc2822_max_line_length rfc2822_max_line_length_policy rfc2822_messageid_header rfc2822_missing_headers
      rfc2822_trace_headers
    `,
  },
  {
    scopes: 'host',
    names: 'rollup_mx rollup_mx_name',
  },
  {
    scopes: 'http_listener listen pathway pathway_group peer',
    names: 'disable_chunked log_requests_to_paniclog max_request_size',
  },
  {
    scopes: 'http_listener listen pathway peer',
    names: 'tls_verified_peer_is_authorized',
  },
  {
    scopes: 'listen',
    names: 'duravip_follow',
  },
  {
    scopes: 'logs',
    names: 'control_cache dir_mode logfile max_idle max_open',
  },
  {
    scopes: 'security',
    names: 'capabilities chroot group supplemental_groups user',
  },
  {
    scopes: 'snmp',
    names: 'address community syscontact sysdescription syslocation',
  },
  {
    scopes: 'snmp snmp_traps',
    names: 'state',
  },
  {
    scopes: 'snmp_traps',
    names: 'trap_destination trap_interval watch_variables',
  },
  {
    scopes: 'threadpool',
    names: 'backlog stack_size',
  },
]

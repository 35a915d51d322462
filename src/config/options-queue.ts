/**
 * The options that govern the queue: bindings, retries, limits, throttles, memory (Momentum: config/ref-binding,
 * ref-max-retries, ref-blackhole, ref-outbound-throttle-messages and the summary).
 */

import { bool, count, longSeconds, oneOf, seconds } from './codec.ts'
import { blackhole, localAddress, retries, throttle } from './codec-queue.ts'
import { bindingScopes, destinationScopes, domainScopes, type OptionTable } from './option-row.ts'
import type { HostValues, OutboundQueueValues, QueueGlobals } from './settings-queue.ts'

const rate = count('a whole number', { min: 1, max: 1_000_000 })

export const queueGlobals: OptionTable<QueueGlobals> = {
  default_binding: { codec: oneOf(['normal', 'none', 'suspended']), default: 'normal', scopes: ['global'] },
  server_reserve_outbound_connections: { codec: count(), default: 200, scopes: ['global'] },
  soft_bounce_drain_rate: { codec: rate, default: 100, scopes: ['global'] },
  disk_queue_drain_rate: { codec: rate, default: 1000, scopes: ['global'] },
}

export const queueOptions: OptionTable<OutboundQueueValues> = {
  retry_interval: { codec: longSeconds, default: 1200, scopes: destinationScopes },
  max_retry_interval: { codec: longSeconds, default: 43_200, scopes: destinationScopes },
  message_expiration: { codec: longSeconds, default: 86_400, scopes: destinationScopes },
  suspend_delivery: { codec: bool, default: false, scopes: destinationScopes },
  max_outbound_connections: {
    codec: count('a whole number', { min: 1, max: 100_000 }),
    default: 32,
    scopes: destinationScopes,
  },
  connect_timeout: { codec: seconds, default: 300, scopes: destinationScopes },
  ehlo_timeout: { codec: seconds, default: 300, scopes: destinationScopes },
  mailfrom_timeout: { codec: seconds, default: 300, scopes: destinationScopes },
  rcptto_timeout: { codec: seconds, default: 300, scopes: destinationScopes },
  body_timeout: { codec: seconds, default: 600, scopes: destinationScopes },
  rset_timeout: { codec: seconds, default: 30, scopes: destinationScopes },
  max_deliveries_per_connection: { codec: count(), default: 0, scopes: destinationScopes },
  bind_address: { codec: localAddress, default: undefined, scopes: bindingScopes },
  max_retries: { codec: retries, default: 'auto', scopes: destinationScopes },
  never_retry: { codec: bool, default: false, scopes: destinationScopes },
  never_attempt_expired_messages: { codec: bool, default: false, scopes: destinationScopes },
  blackhole: { codec: blackhole, default: 'false', scopes: destinationScopes },
  connect_timeout_to_delay: { codec: longSeconds, default: 900, scopes: destinationScopes },
  mx_failures_to_delay: { codec: count(), default: 50, scopes: domainScopes },
  max_recipients_per_batch: {
    codec: count('a whole number', { min: 1, max: 1000 }),
    default: 100,
    scopes: destinationScopes,
  },
  max_recipients_per_connection: { codec: count(), default: 0, scopes: destinationScopes },
  outbound_throttle_messages: { codec: throttle, default: undefined, scopes: destinationScopes },
  outbound_throttle_connections: { codec: throttle, default: undefined, scopes: destinationScopes },
  max_resident_active_queue: { codec: count(), default: 250, scopes: destinationScopes },
  max_resident_messages: { codec: count(), default: 32_768, scopes: bindingScopes },
  server_max_outbound_connections: {
    codec: count('a whole number', { min: 1 }),
    default: 75_000,
    scopes: bindingScopes,
  },
  fully_resolve_before_smtp: { codec: bool, default: true, scopes: destinationScopes },
  only_use_best_mx_for_relay_domains: { codec: bool, default: true, scopes: ['global'] },
  connection_allocation_aggressiveness: {
    codec: oneOf(['normal', 'high']),
    default: 'high',
    scopes: destinationScopes,
  },
  max_resident_transfails: { codec: count(), default: 100, scopes: ['global'] },
  drop_body_after_trans_fail: { codec: count(), default: 3, scopes: destinationScopes },
}

export const hostOptions: OptionTable<HostValues> = {
  max_outbound_connections: {
    codec: count('a whole number', { min: 1, max: 100_000 }),
    default: undefined,
    scopes: ['host'],
  },
  outbound_throttle_messages: { codec: throttle, default: undefined, scopes: ['host'] },
  outbound_throttle_connections: { codec: throttle, default: undefined, scopes: ['host'] },
}

/** What the queue's options come to, for one destination in one binding (Momentum: config/ref-binding and the pages it names). */

import type { Origin } from './diagnostic.ts'

/** At most `count` in any stretch of `seconds`. */
export interface Throttle {
  readonly count: number
  readonly seconds: number
}

/** Where mail leaves: a binding in its group. */
export interface Egress {
  readonly bindingGroup: string
  readonly binding: string
}

/** the binding of mail for which policy has chosen none */
export const defaultEgress: Egress = { bindingGroup: 'default', binding: 'default' }

/** Which bindings there are. */
export interface BindingNames {
  /** The binding of this name in the group, outside any group, or in any other; undefined when there is none. */
  findBinding(binding: string, group?: string): Egress | undefined
  /** the bindings of a group; undefined when there is no such group */
  bindingsOf(group: string): readonly string[] | undefined
}

/** Options of the outbound scopes that govern the queue. */
export interface OutboundQueueValues {
  readonly retry_interval: number
  readonly max_retry_interval: number
  readonly message_expiration: number
  readonly suspend_delivery: boolean
  readonly max_outbound_connections: number
  readonly connect_timeout: number
  readonly ehlo_timeout: number
  readonly mailfrom_timeout: number
  readonly rcptto_timeout: number
  readonly body_timeout: number
  readonly rset_timeout: number
  /** messages over one connection; 0 = no limit */
  readonly max_deliveries_per_connection: number
  /** the address from which connections are made; undefined = the system chooses */
  readonly bind_address: string | undefined
  /** retries after which a message fails; auto and none = as many as Message_Expiration allows */
  readonly max_retries: number | 'auto' | 'none'
  /** the first failure is the last */
  readonly never_retry: boolean
  /** a message that has expired fails without a last attempt */
  readonly never_attempt_expired_messages: boolean
  /** mail is refused at RCPT and fails where it is queued (true, inline), or is taken and dropped (internal) */
  readonly blackhole: 'false' | 'true' | 'inline' | 'internal'
  /** seconds that an attempt looks for a host that answers; 0 = no limit */
  readonly connect_timeout_to_delay: number
  /** look-ups in a row that fail before the whole domain waits; 0 = never */
  readonly mx_failures_to_delay: number
  /** recipients of one transaction */
  readonly max_recipients_per_batch: number
  /** recipients over one connection; 0 = no limit */
  readonly max_recipients_per_connection: number
  readonly outbound_throttle_messages: Throttle | undefined
  readonly outbound_throttle_connections: Throttle | undefined
  /** envelopes of one binding and domain that are held in memory while they are ready to go */
  readonly max_resident_active_queue: number
  /** envelopes in memory, over all, beyond which none is held for this binding */
  readonly max_resident_messages: number
  /** attempts under way at once in all, beyond which none begins in this binding */
  readonly server_max_outbound_connections: number
  /** all hosts of a domain are looked up before the first is tried */
  readonly fully_resolve_before_smtp: boolean
  /** for domains in the global Relay_Domains and Bounce_Domains only hosts of the best preference are tried */
  readonly only_use_best_mx_for_relay_domains: boolean
  /** with `normal` a domain gets one more connection with each attempt that reaches a host */
  readonly connection_allocation_aggressiveness: 'normal' | 'high'
  /** envelopes in memory, over all, of messages that wait for a retry */
  readonly max_resident_transfails: number
  /** failures after which a message is not held in memory while it waits for a retry */
  readonly drop_body_after_trans_fail: number
}

/** Options of the global scope that govern the queue. */
export interface QueueGlobals {
  /** what becomes of mail for which policy has chosen no binding */
  readonly default_binding: 'normal' | 'none' | 'suspended'
  /** of the attempts that may be under way at once, those that only a domain without one may take */
  readonly server_reserve_outbound_connections: number
  /** notices of ends that are made at once */
  readonly soft_bounce_drain_rate: number
  /** messages that are taken over from the spool in one go, at a start */
  readonly disk_queue_drain_rate: number
}

/** Limits of a Host stanza. undefined: there is none. */
export interface HostValues {
  readonly max_outbound_connections: number | undefined
  readonly outbound_throttle_messages: Throttle | undefined
  readonly outbound_throttle_connections: Throttle | undefined
}

/** What holds for one host, by Host stanzas alone. */
export interface HostScope {
  readonly options: HostValues
  origin(option: keyof HostValues): Origin
  definition(option: keyof HostValues): string
}

/** One line of meaning for every option that is global alone. */

import type { GlobalValues } from '../../src/config/settings.ts'
import type { QueueGlobals } from '../../src/config/settings-queue.ts'
import type { Notes } from './notes.ts'

const queueGlobalNotes: Notes<QueueGlobals> = {
  default_binding:
    'mail for which policy chose no binding: `normal` goes out, `none` gets 451 instead of 250, `suspended` waits in the queue',
  server_reserve_outbound_connections:
    'of the deliveries that may be under way at once, those kept for domains that have none; at most a quarter of them',
  soft_bounce_drain_rate: 'bounces and other notices of an end that are made at once; never more than 32',
  disk_queue_drain_rate:
    'messages that are taken over from the spool in one go at a start; other work goes on in between',
}

export const globalNotes: Notes<GlobalValues> = {
  bounce_suppress_list: 'addresses, and `@domain`, that a report is never taken to be about',
  hostname: 'this host’s name; default: the system’s',
  spoolbase: 'folder of the spool; a change needs a restart',
  spool_mode: 'permissions of new spool files; a change needs a restart',
  spool_min_free: '+ octets that stay free on the spool’s file system; below it MAIL is answered `452 4.3.1`',
  reception_memory:
    '+ octets of bodies under reception in memory at once; more goes to files; a change needs a restart',
  large_message_threshold:
    'octets beyond which a body has a file of its own; at most 4M; a change needs a restart',
  local_changes_file:
    'read after all other files, where it is there; what is set live is written back into it where no other file may be written; [live-configuration.md](live-configuration.md)',
  local_changes_only:
    'what is set live is written back into Local_Changes_File, wherever it stands; [live-configuration.md](live-configuration.md)',
  trace_smtp_mode: 'permissions of the files of `trace smtp`, see [console.md](console.md#traces)',
  control_client_timeout:
    'seconds of silence after which a client of the console is cut off; 0 = never; see [console.md](console.md)',
  max_sessions: '+ sessions over all listeners; 0 = from the limit of open files',
  tls_expiry_warning:
    '+ days before the end of a certificate or revocation list at which paniclog warns, once a day each; `none` switches it off',
  ...queueGlobalNotes,
  dns_servers:
    '+ name servers, `address` or `address:port`; names of next hops are then asked of them too; default: those of /etc/resolv.conf',
  tlsa_expire_interval: 'seconds that TLSA records may be old, whatever their TTL',
  mta_sts_policy_store: 'folder in which MTA-STS policies are kept; default: `mtasts` in Spoolbase',
  mta_sts_ca:
    '+ PEM bundle in place of Node’s own roots, for policy hosts of MTA-STS, and for the MX hosts of such domains where TLS_CA is not set',
  tls_rpt_log: '+ file of daily TLS reports (RFC 8460), one JSON object for each domain and day',
}

/**
 * Options of Momentum that say how Momentum works inside, and that never act here: there is nothing for them to change.
 * A value that asks for what happens anyway is taken as it is. Another one gets a warning that says what happens in its
 * place; none of them weakens anything: what is asked for less than is done is done all the same. A value that the
 * option cannot have is an error, as everywhere.
 */

export interface NeverOption {
  readonly valid: RegExp
  /** what `valid` asks for, after "needs" */
  readonly needs: string
  /** values that ask for what happens here anyway; undefined: none does */
  readonly already?: RegExp
  /** what happens, whatever is set */
  readonly instead: string
}

const yes = /^(?:on|true|enabled|1|yes)$/i
const no = /^(?:off|false|disabled|0|no)$/i
const word = { valid: new RegExp(`${yes.source}|${no.source}`, 'i'), needs: '"true" or "false"' } as const
const number = { valid: /^\d{1,9}$/, needs: 'a whole number' } as const

/** By name in lower case. */
export const neverOptions: Readonly<Record<string, NeverOption>> = {
  force_fsync: {
    ...word,
    already: yes,
    instead: 'a message is always on stable storage before its 250',
  },
  _unsafe_spool: {
    ...word,
    already: no,
    instead: 'every message is on stable storage before its 250',
  },
  unlink_on_spool_in_failure: {
    ...word,
    already: no,
    instead: 'what cannot be read in the spool is set aside and told of in paniclog, never removed',
  },
  swap_out_meta_after_each_tempfail: {
    ...word,
    already: yes,
    instead: 'the outcome of every attempt is on stable storage before it is told',
  },
  async_bounce_rendering: {
    ...word,
    already: yes,
    instead: 'bounces are made beside other work; Soft_Bounce_Drain_Rate says how many at once',
  },
  inline_transfail_processing: {
    ...word,
    already: yes,
    instead: 'each failure is written and told at once, and other work does not wait for it',
  },
  delayed_queue_scan_interval: {
    ...number,
    instead: 'a retry is made within a second of its time',
  },
  adaptive_retry_fuzz: {
    ...number,
    instead: 'the messages of a domain that has to wait keep their places, and are not queued anew in bulk',
  },
  ecstream_port: {
    valid: /^(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$/,
    needs: 'a port',
    instead: 'ECSTREAM is a protocol of Momentum’s own, and Delivery_Method = ECSTREAM is an error',
  },
}

/** What the options about notices and about the form of outgoing mail come to, for one destination. */

/** Options of the outbound scopes. */
export interface NoticeValues {
  /** the sender of mail that cannot be delivered is told, and whoever asked for it is told of success */
  readonly generate_bounces: boolean
  /** the From of bounces, as it stands in a header; undefined = mailer-daemon at Hostname */
  readonly mailerdaemon: string | undefined
  /** how much of the message a bounce brings along */
  readonly bounces_inline_original: 'none' | 'headers' | 'all'
  /** the mailbox that is told of mail from the null sender which cannot be delivered; undefined = nobody is */
  readonly mdn_failures_notify: string | undefined
  /** the sender is told that mail is late */
  readonly generate_delay_dsn: boolean
  /** seconds to the first such notice; each further one after twice the time */
  readonly delay_dsn_retry_interval: number
  /** the longest time between two of them; 0 = no bound */
  readonly delay_dsn_max_retry_interval: number
  /** whether BODY=8BITMIME is said where it is true and the host knows it */
  readonly send_8bitmime: 'no' | 'ifavailable'
  /** what becomes of eight-bit parts where the host does not take them */
  readonly transform_8bitmime_content: 'no' | 'ifneeded' | 'strict' | 'strip'
  /** which recipients in Bounce_Domains are meant, over the whole address: a regular expression; undefined = all */
  readonly bounce_pattern: string | undefined
  /** what becomes of a report that was recognised */
  readonly bounce_behavior: 'pass' | 'blackhole'
}

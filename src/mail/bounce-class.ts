/**
 * Why a delivery failed, as one of Momentum's classes (4-bounce-logger-classification-codes).
 *
 * An ordered table of patterns over the answer of the next hop or our own `[internal]` text; the first that fits counts.
 * Enhanced status codes (RFC 3463) stand beside the words that servers use. What fits nothing is undetermined.
 */

const UNDETERMINED = 1

/** Class and what an answer that belongs to it looks like. */
const patterns: readonly (readonly [number, RegExp])[] = [
  // 25 Admin Failure
  [25, /manually purged|\[internal\] blackholed|discarded by policy/i],
  // 21 DNS Failure: also a domain that takes no mail
  [
    21,
    /\b[45]\.4\.[34]\b|\b[45]\.1\.2\b|\b[45]\.1\.10\b|domain (?:lookup|does not exist|not found)|unrouteable/i,
  ],
  // 54 Relaying Denied
  [54, /relay(?:ing)?(?: access)? (?:is )?(?:denied|not permitted|not allowed|prohibited)|unable to relay/i],
  // 22 Mailbox Full
  [22, /\b[45]\.2\.2\b|over ?quota|quota (?:is )?exceeded|mailbox (?:is )?full|insufficient disk space for/i],
  // 23 Too Large
  [
    23,
    /\b[45]\.3\.4\b|\b[45]\.2\.3\b|message (?:is )?too (?:large|big|long)|exceeds? (?:\w+ ){0,3}size|size limit/i,
  ],
  // 53 Attachment
  [53, /virus|malware|infected|attachment|executable content/i],
  // 51 Spam Block: the sending host
  [
    51,
    /black ?list|block ?list|deny ?list|\brbl\b|dnsbl|spamhaus|spamcop|barracuda|reputation|listed (?:at|by|in|on)\b/i,
  ],
  // 52 Spam Content
  [52, /spam|unsolicited|\bube\b|\buce\b|junk|bulk mail/i],
  // 10 Invalid Recipient
  [
    10,
    /\b[45]\.1\.[136]\b|no such (?:user|mailbox|recipient|address|person|local)|(?:unknown|invalid|nonexistent) (?:user|recipient|mailbox|address|local)/i,
  ],
  [
    10,
    /(?:user|recipient|mailbox|address|account) (?:is |was )?(?:unknown|invalid|rejected|not found|not known|not exist|does(?:n't| not) exist)/i,
  ],
  // 20 Soft Bounce: the mailbox exists and takes nothing
  [
    20,
    /\b[45]\.2\.[01]\b|(?:mailbox|account|user) (?:is )?(?:temporarily )?(?:unavailable|disabled|inactive|suspended|locked)/i,
  ],
  // 24 Timeout
  [24, /\b[45]\.4\.7\b|\b[45]\.4\.5\b|timed ?out|timeout/i],
  // 70 Transient Failure
  [70, /^4\d\d|greylist|graylist|try (?:again )?later/i],
  // 50 Mail Block: a policy against the message or its sender
  [50, /\b5\.7\.\d+\b|blocked|policy|denied|not authori[sz]ed|refused|prohibited/i],
  // 40 Generic Bounce
  [40, /\b5\.(?:3|5|6)\.\d+\b/],
]

/** Momentum's name of a class; one that is not known is undetermined. */
export function bounceClassName(number: number): string {
  return names[number] ?? 'Undetermined'
}

/** @param text an SMTP answer on one line, its code first */
export function bounceClass(text: string): number {
  return patterns.find(([, pattern]) => pattern.test(text))?.[0] ?? UNDETERMINED
}

const names: Readonly<Record<number, string>> = {
  1: 'Undetermined',
  10: 'Invalid Recipient',
  20: 'Soft Bounce',
  21: 'DNS Failure',
  22: 'Mailbox Full',
  23: 'Too Large',
  24: 'Timeout',
  25: 'Admin Failure',
  30: 'Generic Bounce: No RCPT',
  40: 'Generic Bounce',
  50: 'Mail Block',
  51: 'Spam Block',
  52: 'Spam Content',
  53: 'Prohibited Attachment',
  54: 'Relaying Denied',
  60: 'Auto-Reply',
  70: 'Transient Failure',
  80: 'Subscribe',
  90: 'Unsubscribe',
  100: 'Challenge-Response',
}

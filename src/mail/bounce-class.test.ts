import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownTime } from '../../test/support/time.ts'
import { bounceClass } from './bounce-class.ts'

/** Answers as servers give them, and Momentum's class. */
const answers: readonly (readonly [number, string])[] = [
  [10, '550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in local recipient table'],
  [10, '550 5.1.1 [internal] No such mailbox'],
  [10, '550 No such user here'],
  [10, '553 sorry, that address does not exist'],
  [20, '550 5.2.1 The email account that you tried to reach is disabled'],
  [21, '554 5.4.4 [internal] Domain Lookup Failed'],
  [21, '550 5.4.4 [internal] NULL MX domain does not accept mail'],
  [21, '451 4.4.3 [internal] The name of the next hop could not be looked up'],
  [22, '452 4.2.2 The email account that you tried to reach is over quota'],
  [22, '552 mailbox full'],
  [23, '552 5.3.4 [internal] Message of 9 octets is larger than the remote host takes (8)'],
  [24, '554 5.4.7 [internal] exceeded max time without delivery'],
  [24, '450 4.4.1 [internal] Connection Timed Out'],
  [25, '554 5.7.0 [internal] Message manually purged'],
  [50, '550 5.7.26 Unauthenticated email is not accepted'],
  [51, '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org'],
  [52, '550 5.7.1 This message looks like spam'],
  [53, '554 5.7.1 Message contains a virus'],
  [54, '554 5.7.1 <bob@example.com>: Relay access denied'],
  [70, '450 4.7.1 Greylisted, see you in five minutes'],
  [70, '421 4.4.0 [internal] no MXs for this domain could be reached at this time'],
  [40, '554 5.6.0 malformed'],
  [1, '554 transaction failed'],
  [1, ''],
]

test('an answer is put into the class that its code or its words say', () => {
  for (const [expected, text] of answers) assert.equal(bounceClass(text), expected, text)
})

test('a hostile answer is classified in no time', () => {
  const texts = [
    'exceeds '.repeat(125),
    'user is '.repeat(125),
    'a'.repeat(1000),
    'relaying access '.repeat(60),
  ]
  assert.ok(ownTime(() => texts.forEach((text) => bounceClass(text))) < 1000)
})

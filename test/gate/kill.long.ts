/** Many kills in a row: each moment of a message's way is met sooner or later. */

import { test } from 'node:test'
import { killWithBatches, killWithMailbox } from './kill.ts'

test('ten times kill -9 under load lose nothing that was answered 250', () => killWithMailbox(10))

test('five times kill -9 while batches of recipients go out lose none of them', () => killWithBatches(5))

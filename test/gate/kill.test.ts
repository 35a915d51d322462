/** Two kills each, so that the second gate takes over what the first and the second one left; `kill.long.ts` has more. */

import { test } from 'node:test'
import { killWithBatches, killWithMailbox } from './kill.ts'

test('kill -9 under load loses nothing that was answered 250', () => killWithMailbox(2))

test('kill -9 while batches of recipients go out loses none of them', () => killWithBatches(1))

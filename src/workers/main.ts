/** The entry of a worker process; the supervisor starts it. */

import { runWorker } from './worker.ts'

runWorker()

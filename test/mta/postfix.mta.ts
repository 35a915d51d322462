/** Debian's Postfix as the gate's next hop, and as its client. */

import { after, before } from 'node:test'
import { type Bench, startBench } from './bench.ts'
import { clientTests } from './client.ts'
import { nextHopTests } from './next-hop.ts'
import { makePostfix } from './postfix.ts'

let bench: Bench
before(async () => {
  bench = await startBench(makePostfix)
})
after(() => bench.close())

nextHopTests(() => bench, {
  withoutCertificate: {
    none: /^421 4\.7\.1 mta\.test Error: No client certificate presented$/,
    untrusted: /^421 4\.7\.1 mta\.test Error: Client certificate not trusted$/,
    clear: /^530 5\.7\.0 Must issue a STARTTLS command first$/,
  },
  received: {
    clear: /\(Postfix\) with ESMTP /,
    tls13: /\(Postfix\) with ESMTPS /,
    tls12: /\(Postfix\) with ESMTPS /,
  },
})

clientTests(() => bench, {
  untrusted: 'untrusted',
  deferred: (local) => new RegExp(`to=<${local}@.*status=deferred`),
  resumes: true,
})

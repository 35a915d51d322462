/** Debian's Exim as the gate's next hop, and as its client. */

import { after, before } from 'node:test'
import { type Bench, startBench } from './bench.ts'
import { clientTests } from './client.ts'
import { makeExim } from './exim.ts'
import { nextHopTests } from './next-hop.ts'

let bench: Bench
before(async () => {
  bench = await startBench(makeExim)
})
after(() => bench.close())

nextHopTests(() => bench, {
  withoutCertificate: {
    none: /^451 4\.7\.5 \[internal\] TLS negotiation failed \(tlsv13 alert certificate required\)$/,
    untrusted: /^451 4\.7\.5 \[internal\] TLS negotiation failed \(ssl\/tls alert bad certificate\)$/,
    clear: /^550 5\.7\.1 a certificate is needed$/,
  },
  received: {
    clear: /with esmtp \(Exim/,
    tls13: /with esmtps +\(TLS1\.3\)/,
    tls12: /with esmtps +\(TLS1\.2\)/,
  },
})

clientTests(() => bench, {
  untrusted: 'none shown',
  deferred: (local) => new RegExp(` == ${local}@.* defer `),
  resumes: true,
})

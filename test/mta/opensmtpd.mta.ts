/** Debian's OpenSMTPD as the gate's next hop, and as its client. */

import { after, before } from 'node:test'
import { type Bench, startBench } from './bench.ts'
import { clientTests } from './client.ts'
import { nextHopTests } from './next-hop.ts'
import { makeOpenSmtpd } from './opensmtpd.ts'

let bench: Bench
before(async () => {
  bench = await startBench(makeOpenSmtpd)
})
after(() => bench.close())

nextHopTests(() => bench, {
  withoutCertificate: {
    none: /^451 4\.7\.5 \[internal\] TLS negotiation failed \(tlsv13 alert certificate required\)$/,
    untrusted: /^451 4\.7\.5 \[internal\] TLS negotiation failed \(tlsv1 alert unknown ca\)$/,
    clear: /^530 5\.5\.1 Invalid command: Must issue a STARTTLS command first$/,
  },
  received: {
    clear: /with ESMTP id/,
    tls13: /with ESMTPS id \w+ \(TLSv1\.3:/,
    tls12: /with ESMTPS id \w+ \(TLSv1\.2:/,
  },
})

clientTests(() => bench, {
  untrusted: 'untrusted',
  deferred: (local) => new RegExp(`to=<${local}@.*result="?TempFail`),
  resumes: false,
})

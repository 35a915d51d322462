/** Run by roots.test.ts with NODE_EXTRA_CA_CERTS set: does a host of that CA verify where no TLS_CA is named? */

import { readFileSync } from 'node:fs'
import { against } from './session.fixture.ts'

const [certificate = '', key = ''] = process.argv.slice(2)
const tls = { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
const host = 'localhost'
const ca = await against({ tls }, { host, options: { tls: 'required', tls_verify: 'ca' } })
const optional = await against({ tls }, { host, options: { tls: 'required', tls_verify: 'optional' } })
process.stdout.write(`${ca.result.kind}, ${optional.result.tls?.verifiedBy ?? optional.result.tls?.cause}`)

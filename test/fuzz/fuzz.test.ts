/**
 * Every fuzz target, so that `node --test` runs them all within their default budget. For longer runs:
 * `POSTERN_FUZZ_SECONDS=60 node --test 'test/fuzz/*.fuzz.ts'`.
 */

import './address.fuzz.ts'
import './chunk.fuzz.ts'
import './command.fuzz.ts'
import './config.fuzz.ts'
import './crl.fuzz.ts'
import './data.fuzz.ts'
import './dsn.fuzz.ts'
import './headers.fuzz.ts'
import './lines.fuzz.ts'
import './ocsp.fuzz.ts'
import './proxy-header.fuzz.ts'
import './reply.fuzz.ts'
import './xtext.fuzz.ts'

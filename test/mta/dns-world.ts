/**
 * Zones below `test.` that lead mail to a sink and to Postfix, an authority and a resolver that know them, and a gate that
 * asks that resolver alone.
 *
 * The sink and the mail servers listen on 127.0.0.1. At 127.0.0.11 there is somebody at the sink's port who closes every
 * connection. The policy host of MTA-STS, whose port is 443 by RFC 8461, has an address of loopback that is its own.
 */

import { createHash, X509Certificate } from 'node:crypto'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import { createServer, type Server } from 'node:net'
import type { Credential } from '../../src/tls/authority.ts'
import type { Pki } from '../../src/tls/pki.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'
import { type DnsServers, startDns, type ZoneFile } from './dns-authority.ts'
import { Greylist } from './greylist.ts'
import { freePorts, type Mta } from './mta.ts'
import { makePostfix } from './postfix.ts'

export interface DnsWorld {
  readonly dns: DnsServers
  readonly gate: TestGate
  readonly sink: SmtpSink
  readonly postfix: Mta
  /** connections that were made to 127.0.0.11 */
  readonly turnedAway: () => number
  close(): Promise<void>
}

/** More than a datagram holds. */
export const MANY = 60

/** of this process: another one may run the same tests */
const POLICY_HOST = `127.43.${(process.pid >> 8) % 256}.${process.pid % 256}`

/** Makes everything, and takes it away again if something fails. */
export async function startWorld(): Promise<DnsWorld> {
  const stack = new AsyncDisposableStack()
  try {
    return await assemble(stack)
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

async function assemble(stack: AsyncDisposableStack): Promise<DnsWorld> {
  const pki = await testPki()
  const [authority = 0, validating = 0, mail = 0, expired = 0, demanding = 0] = await freePorts(5)
  const credential = certificateFor(pki, ['mx.asked.plain.test', 'mx.strange.plain.test'])
  const sink = stack.adopt(await SmtpSink.start({ tls: credential }), (each) => each.close())
  const away = stack.adopt(await turnAway(sink.port), ({ server }) => close(server))
  stack.adopt(await policyHost(pki), close)
  const greylist = stack.adopt(await Greylist.start(), (each) => each.close())
  const gates = { unset: 9, none: 9, require: 9 }
  const request = { ports: { mail, expired, demanding }, gates, greylist: greylist.port }
  const postfix = stack.adopt(makePostfix(request, pki), (each) => each.root.remove())
  stack.defer(() => postfix.stop())
  await postfix.start()
  const digests = { sink: keyDigest(credential.cert), postfix: keyDigest(postfix.root.read('pki/good.pem')) }
  const zones = zonesFor({ port: sink.port, mail, expired }, digests)
  const dns = stack.adopt(await startDns({ zones, ports: { authority, validating } }), (each) => each.close())
  const conf = gateConf({ dns: validating, sink: sink.port, mail, expired })
  const gate = stack.adopt(await startTestGate({ conf, pki }), (each) => each.stop())
  return { dns, gate, sink, postfix, turnedAway: away.count, close: () => stack.disposeAsync() }
}

interface Ports {
  readonly port: number
  readonly mail: number
  readonly expired: number
}

function zonesFor({ port, mail, expired }: Ports, digests: Record<'sink' | 'postfix', string>): ZoneFile[] {
  const right = `TLSA 3 1 1 ${digests.sink}`
  const wrong = `TLSA 3 1 1 ${keyDigest('another key')}`
  const many = Array.from(
    { length: MANY },
    (_, n) => `many MX ${n} a-host-with-a-long-name-number-${n}.hosts`,
  )
  const signed = `
@ MX 20 second
@ MX 10 first
first A 127.0.0.11
second A 127.0.0.1
bare A 127.0.0.1
six AAAA ::1
null MX 0 .
nick CNAME @
${many.join('\n')}
a-host-with-a-long-name-number-0.hosts A 127.0.0.1
untold MX 10 second
dane MX 10 mx.dane
mx.dane A 127.0.0.1
_${port}._tcp.mx.dane ${right}
aliased MX 10 mx.aliased
mx.aliased CNAME mx.dane
own MX 10 mx.own
mx.own CNAME second
_${port}._tcp.mx.own ${right}
wrong MX 10 mx.wrong
mx.wrong A 127.0.0.1
_${port}._tcp.mx.wrong ${wrong}
away MX 10 mx.away
mx.away CNAME mx.plain.test.
_${port}._tcp.mx.away ${wrong}
postfix MX 10 mx.postfix
expired MX 10 mx.postfix
mx.postfix A 127.0.0.1
_${mail}._tcp.mx.postfix TLSA 3 1 1 ${digests.postfix}
_${expired}._tcp.mx.postfix TLSA 3 1 1 ${digests.postfix}
`
  const plain = `
@ MX 10 mx
mx A 127.0.0.1
_${port}._tcp.mx ${wrong}
asked MX 10 mx.asked
mx.asked A 127.0.0.1
_mta-sts.asked TXT "v=STSv1; id=20261122;"
mta-sts.asked A ${POLICY_HOST}
strange MX 10 mx.strange
mx.strange A 127.0.0.1
_mta-sts.strange TXT "v=STSv1; " "id=1;"
mta-sts.strange A ${POLICY_HOST}
`
  const tampered = `
@ MX 10 mx
mx A 127.0.0.1
_${port}._tcp.mx ${right}
moved MX 10 mx
moved A 127.0.0.1
`
  return [
    { name: 'signed.test', records: signed, signatures: 'good' },
    { name: 'plain.test', records: plain, signatures: 'unsigned' },
    { name: 'tampered.test', records: tampered, signatures: 'good', tamper: forge },
    { name: 'expired.test', records: '@ MX 10 mx\n@ A 127.0.0.1\nmx A 127.0.0.1\n', signatures: 'expired' },
  ]
}

/** Makes another record of the TLSA record that fits, and another preference of an MX record. */
function forge(line: string): string {
  return line.replace(/(\sTLSA\s+)3 1 1/, '$13 0 1').replace(/^(moved\S*\s.*\sMX\s+)10 /, '$199 ')
}

function gateConf(ports: Record<'dns' | 'sink' | 'mail' | 'expired', number>): string {
  const { dns, sink, mail, expired } = ports
  return `
DNS_Servers = ( "127.0.0.1:${dns}" )
Remote_SMTP_Port = ${sink}
Retry_Interval = 1
Max_Retry_Interval = 1
Use_DANE = true
MX_Failures_Fallback_To_A = 1
MTA_STS_CA = pki/ca.pem
ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }
Domain "postfix.signed.test" { Remote_SMTP_Port = ${mail} }
Domain "expired.signed.test" { Remote_SMTP_Port = ${expired} }
Domain "gated.test" { Gateway = "mx.dane.signed.test:${sink}" }
Domain "gated-alias.test" { Routes = ( "mx.aliased.signed.test" ) }
Domain "gated-wrong.test" { Gateway = "mx.wrong.signed.test:${sink}" }
Domain "asked.plain.test" { Use_MTA_STS = true }
Domain "strange.plain.test" { Use_MTA_STS = true }
`
}

function certificateFor(pki: Pki, names: readonly string[]): Credential {
  const altNames = names.map((value) => ({ kind: 'dns', value }) as const)
  return pki.authority.issue({ subject: names[0] ?? '', usage: 'server', altNames })
}

/** SHA-256 of a certificate's key, or of a text that is none. */
function keyDigest(text: string): string {
  const key = text.startsWith('-----')
    ? new X509Certificate(text).publicKey.export({ type: 'spki', format: 'der' })
    : text
  return createHash('sha256').update(key).digest('hex')
}

async function turnAway(port: number): Promise<{ readonly server: Server; readonly count: () => number }> {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.on('error', () => undefined).resume()
    socket.end('421 4.3.2 not here\r\n')
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.11', resolve))
  return { server, count: () => connections }
}

/** Names the host of `asked.plain.test` for both domains. */
async function policyHost(pki: Pki): Promise<HttpsServer> {
  const credential = certificateFor(pki, ['mta-sts.asked.plain.test', 'mta-sts.strange.plain.test'])
  const server = createHttpsServer({ cert: credential.cert, key: credential.key }, (_request, response) => {
    response.setHeader('content-type', 'text/plain')
    response.end('version: STSv1\r\nmode: enforce\r\nmx: mx.asked.plain.test\r\nmax_age: 86400\r\n')
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(443, POLICY_HOST, resolve)
  })
  return server
}

async function close(server: Server | HttpsServer): Promise<void> {
  await new Promise((resolve) => server.close(resolve))
}

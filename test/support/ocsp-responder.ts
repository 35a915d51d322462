/** OCSP responders for tests: one that answers as it is told, and OpenSSL's own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Credential } from '../../src/tls/authority.ts'
import { DerReader } from '../../src/tls/der.ts'
import { bitString, element, explicit, octetString, oid, sequence, TAG } from '../../src/tls/der-writer.ts'

const MINUTE = 60_000
const NONCE = '1.3.6.1.5.5.7.48.1.2'

export interface AskedFor {
  /** DER of the CertID */
  readonly certId: Buffer
  /** content of the serial's INTEGER */
  readonly serial: Buffer
  readonly nonce: Buffer | undefined
}

/** What a request asks for. */
export function readRequest(der: Buffer): AskedFor {
  const body = DerReader.of(der, 1000).enter(0x30).enter(0x30)
  const list = body.enter(0x30)
  const certId = list.enter(0x30).read(0x30)
  const inside = list.inside(certId)
  inside.read(0x30)
  inside.read(0x04)
  inside.read(0x04)
  const serial = inside.read(0x02).content
  const wrapper = body.optional(0xa2)
  if (wrapper === undefined) return { certId: certId.raw, serial, nonce: undefined }
  const extension = body.inside(wrapper).enter(0x30).enter(0x30)
  extension.read(0x06)
  const value = DerReader.of(extension.read(0x04).content, 1).read(0x04)
  return { certId: certId.raw, serial, nonce: value.content }
}

export interface AnswerSpec {
  /** DER of the CertID */
  readonly certId: Buffer
  readonly status?: 'good' | 'revoked' | 'unknown'
  /** milliseconds; default a minute ago */
  readonly thisUpdate?: number
  /** default in an hour */
  readonly nextUpdate?: number | 'never'
  /** DER of single extensions */
  readonly extensions?: Buffer
}

export interface ResponseSpec {
  readonly answers: readonly AnswerSpec[]
  readonly signer: Pick<Credential, 'cert' | 'key'>
  readonly nonce?: Buffer | undefined
  readonly producedAt?: number
  /** PEM of what goes along */
  readonly certs?: readonly string[]
  readonly byName?: boolean
  /** dotted and Node's name; default ECDSA with SHA-256 */
  readonly algorithm?: readonly [string, string]
  /** DER of response extensions beside the nonce */
  readonly extensions?: readonly Buffer[]
}

/** DER of a successful response. */
export function encodeResponse(spec: ResponseSpec): Buffer {
  const data = sequence(
    responderId(spec),
    generalizedTime(spec.producedAt ?? Date.now() - MINUTE),
    sequence(...spec.answers.map(encodeAnswer)),
    ...responseExtensions(spec),
  )
  const [algorithm, hash] = spec.algorithm ?? ['1.2.840.10045.4.3.2', 'sha256']
  const key: KeyObject = createPrivateKey(spec.signer.key)
  const certs = (spec.certs ?? []).map((pem) => new X509Certificate(pem).raw)
  return wrap(
    sequence(
      data,
      sequence(oid(algorithm)),
      bitString(sign(hash, data, key)),
      ...(certs.length === 0 ? [] : [explicit(0, sequence(...certs))]),
    ),
  )
}

/** A response that is no answer: 3 is tryLater. */
export function encodeError(status: number): Buffer {
  return sequence(element(TAG.enumerated, Buffer.of(status)))
}

function wrap(basic: Buffer): Buffer {
  const bytes = sequence(oid('1.3.6.1.5.5.7.48.1.1'), octetString(basic))
  return sequence(element(TAG.enumerated, Buffer.of(0)), explicit(0, bytes))
}

function responderId({ signer, byName }: ResponseSpec): Buffer {
  const { raw } = new X509Certificate(signer.cert)
  const body = DerReader.of(raw, 1000).enter(0x30).enter(0x30)
  body.read(0xa0)
  for (let i = 0; i < 4; i += 1) body.read()
  const subject = body.read(0x30)
  if (byName === true) return explicit(1, subject.raw)
  const key = body.enter(0x30)
  key.read(0x30)
  return explicit(2, octetString(createHash('sha1').update(key.read(0x03).content.subarray(1)).digest()))
}

function encodeAnswer({ certId, status = 'good', ...spec }: AnswerSpec): Buffer {
  const thisUpdate = spec.thisUpdate ?? Date.now() - MINUTE
  const nextUpdate = spec.nextUpdate ?? Date.now() + 60 * MINUTE
  const states = {
    good: element(0x80),
    revoked: element(0xa1, generalizedTime(thisUpdate)),
    unknown: element(0x82),
  }
  return sequence(
    certId,
    states[status],
    generalizedTime(thisUpdate),
    ...(nextUpdate === 'never' ? [] : [explicit(0, generalizedTime(nextUpdate))]),
    ...(spec.extensions === undefined ? [] : [explicit(1, sequence(spec.extensions))]),
  )
}

function responseExtensions({ nonce, extensions = [] }: ResponseSpec): Buffer[] {
  const all = [
    ...extensions,
    ...(nonce === undefined ? [] : [sequence(oid(NONCE), octetString(octetString(nonce)))]),
  ]
  return all.length === 0 ? [] : [explicit(1, sequence(...all))]
}

export function generalizedTime(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '')
  return element(TAG.generalizedTime, Buffer.from(digits, 'latin1'))
}

export interface ScriptedResponder extends AsyncDisposable {
  readonly url: string
  /** how often it was asked */
  readonly asked: number
  /** what it does from now on */
  answer: (asked: AskedFor, response: ServerResponse) => Buffer | undefined
}

/** Answers with what `answer` returns; undefined: it has answered itself, or never will. */
export async function scriptedResponder(
  answer: ScriptedResponder['answer'],
  tls?: { readonly cert: string; readonly key: string },
): Promise<ScriptedResponder> {
  const state = { asked: 0, answer }
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      state.asked += 1
      const body = state.answer(readRequest(Buffer.concat(chunks)), response)
      if (body === undefined) return
      response.writeHead(200, { 'content-type': 'application/ocsp-response' }).end(body)
    })
  }
  const server = tls === undefined ? createServer(handle) : createSecureServer(tls, handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get asked() {
      return state.asked
    },
    get answer() {
      return state.answer
    },
    set answer(next) {
      state.answer = next
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export interface OpensslResponder extends AsyncDisposable {
  readonly url: string
}

/** `openssl ocsp` with an index file. @param args signer, key, CA and index, as OpenSSL has them */
export async function opensslResponder(args: readonly string[]): Promise<OpensslResponder> {
  const child: ChildProcess = spawn('openssl', ['ocsp', '-port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let text = ''
  const hear = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
    const port = /ACCEPT \S*:(\d+)/.exec(text)?.[1]
    if (port !== undefined) resolve(Number(port))
  }
  child.stdout?.on('data', hear)
  child.stderr?.on('data', hear)
  child.on('error', reject)
  child.on('exit', () => reject(new Error(`openssl ocsp has ended: ${text}`)))
  const port = await promise
  return {
    url: `http://127.0.0.1:${port}/`,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** A line of the index that `openssl ca` keeps. */
export function indexLine({ serial }: Pick<Credential, 'serial'>, status: 'V' | 'R'): string {
  const hex = serial.toString(16).toUpperCase()
  const padded = hex.length % 2 === 0 ? hex : `0${hex}`
  const revoked = status === 'R' ? '250101000000Z' : ''
  return `${status}\t491231235959Z\t${revoked}\t${padded}\tunknown\t/CN=client\n`
}

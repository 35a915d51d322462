/** Attempts at hosts that follow a script, for the tests of SmtpTransport. */

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { contentOf, openGate, outboundDefaults, storedMessage } from '../../test/support/messages.ts'
import { noMx } from '../../test/support/no-mx.ts'
import { type SinkScript, SmtpSink } from '../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../test/support/static-resolver.ts'
import type { OutboundValues } from '../config/settings.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { SmtpTransport, type SmtpTransportOptions } from './attempt.ts'
import type { NextHop } from './route.ts'
import type { AttemptResult } from './transport.ts'

export const message = storedMessage('m')
export const content = contentOf('Subject: hi\r\n\r\n', 'one\r\n.two\r\n', '..three\r\n.\r\nfour')
export const resolver = new StaticResolver({
  'sink.test': ['127.0.0.1'],
  'two.test': ['127.0.0.2', '127.0.0.1'],
})

interface Attempt {
  readonly hosts: readonly NextHop[]
  readonly options?: Partial<OutboundValues>
  readonly message?: StoredMessage
  readonly content?: StoredContent
  readonly signal?: AbortSignal
  readonly resolver?: StaticResolver
  readonly mx?: SmtpTransportOptions['mx']
  /** one that several attempts share */
  readonly transport?: SmtpTransport
}

export async function attempt({ hosts, options, ...rest }: Attempt): Promise<AttemptResult> {
  const transport =
    rest.transport ??
    new SmtpTransport({ resolver: rest.resolver ?? resolver, mx: rest.mx ?? noMx, hostname: 'mx.test' })
  const [result] = await transport.deliver([rest.message ?? message], rest.content ?? content, {
    route: { kind: 'smtp', hosts },
    options: { ...outboundDefaults, ...options },
    mayRepeat: false,
    gate: openGate,
    signal: rest.signal ?? new AbortController().signal,
  })
  if (result === undefined || result.kind === 'deferred') assert.fail('no attempt was made')
  return result
}

/** One attempt at a next hop that follows the script. */
export async function against(
  script: SinkScript | ((connection: number) => SinkScript),
  rest: Omit<Attempt, 'hosts'> = {},
): Promise<{ readonly result: AttemptResult; readonly sink: SmtpSink }> {
  const sink = await SmtpSink.start(script)
  try {
    const result = await attempt({ hosts: [{ host: '127.0.0.1', port: sink.port }], ...rest })
    await sink.until(({ open }) => open === 0)
    return { result, sink }
  } finally {
    await sink.close()
  }
}

export async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

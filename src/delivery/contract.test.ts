import { chmod, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { maildirSettings, pipeSettings, webhookSettings } from '../../test/support/messages.ts'
import { noMx } from '../../test/support/no-mx.ts'
import { type SinkScript, SmtpSink } from '../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../test/support/static-resolver.ts'
import { type TransportPlace, transportContract } from '../../test/support/transport-contract.ts'
import { WebhookReceiver } from '../../test/support/webhook-receiver.ts'
import { SmtpTransport } from './attempt.ts'
import type { PipeRoute, WebhookRoute } from './domain-targets.ts'
import { MaildirTransport } from './maildir-transport.ts'
import { PipeTransport } from './pipe/pipe-transport.ts'
import type { MaildirRoute, SmtpRoute } from './route.ts'
import { WebhookTransport } from './webhook/webhook-transport.ts'

const answers: Readonly<Record<string, string>> = { transient: '450 later', permanent: '550 5.1.1 no' }

function judged(line: string): string | undefined {
  return answers[/<([^@]*)@/.exec(line)?.[1] ?? '']
}

async function smtpPlace(method: 'ESMTP' | 'LMTP'): Promise<TransportPlace<SmtpRoute>> {
  const lmtp = method === 'LMTP'
  const script: { now: SinkScript } = {
    now: lmtp
      ? { messageFor: (line) => judged(line) ?? '250 2.0.0 kept' }
      : { rcpt: (line) => judged(line) ?? '250 2.1.5 ok' },
  }
  const sink = await SmtpSink.start(() => script.now)
  const transport = new SmtpTransport({ resolver: new StaticResolver({}), mx: noMx, hostname: 'mx.test' })
  return {
    transport: {
      deliver: async (messages, content, context) =>
        await transport.deliver(messages, content, {
          ...context,
          options: { ...context.options, delivery_method: method },
        }),
    },
    route: { kind: 'smtp', hosts: [{ host: '127.0.0.1', port: sink.port }] },
    repeats: 2,
    arrived: async () => {
      await sink.until(({ open }) => open === 0)
      return sink.received.map(({ content }) => content)
    },
    slow: (milliseconds) => {
      const answer = { trickle: '250 2.0.0 kept\r\n', everyMs: milliseconds / 15 }
      script.now = lmtp ? { messageFor: () => answer } : { message: answer }
    },
    die: (dies) => {
      const usual: SinkScript = lmtp ? { messageFor: () => '250 kept' } : {}
      script.now = dies ? { inData: { after: 100_000, answer: 'drop' } } : usual
    },
    stuck: async () => {
      const server = await startStuck((socket) => {
        socket.write('220 stuck.test ESMTP\r\n')
        socket.on('data', (chunk: Buffer) => {
          const verb = chunk.toString('latin1', 0, 4)
          socket.write(verb === 'DATA' ? '354 go ahead\r\n' : '250 ok\r\n')
          if (verb === 'DATA') socket.pause()
        })
      })
      return { ...server, route: { kind: 'smtp', hosts: [{ host: '127.0.0.1', port: server.port }] } }
    },
    close: async () => {
      transport.close()
      await sink.close()
    },
  }
}

/** A server that does with each connection what it is told, and reads no more once that is paused. */
async function startStuck(talk: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    talk(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

transportContract<SmtpRoute>('SMTP', async () => await smtpPlace('ESMTP'))
transportContract<SmtpRoute>('LMTP', async () => await smtpPlace('LMTP'))

const IN_A_FILE = 'a file system takes everything at once'

transportContract<MaildirRoute>('a maildir', async () => {
  const basedir = await mkdtemp(join(tmpdir(), 'postern-contract-'))
  const maildir = maildirSettings(basedir)
  return {
    transport: new MaildirTransport({ hostname: 'mx.test' }),
    route: { kind: 'maildir', place: { maildir, elements: ['bob'], create: true } },
    repeats: 1,
    cannot: {
      judge: 'the mailbox is in the route, so a batch has one',
      slow: IN_A_FILE,
      die: IN_A_FILE,
      stuck: IN_A_FILE,
    },
    arrived: async () => {
      // none is made for a message that never came
      const names = await readdir(join(basedir, 'bob/new')).catch(() => [])
      return await texts(names.map((name) => join(basedir, 'bob/new', name)))
    },
    close: async () => await rm(basedir, { recursive: true }),
  }
})

/** What files of UNIX hold, as it was sent. */
async function texts(files: readonly string[]): Promise<readonly string[]> {
  const all = await Promise.all(files.map(async (file) => await readFile(file, 'latin1')))
  return all.map((text) => text.replace(/^Return-Path: .*\n/, '').replaceAll('\n', '\r\n'))
}

const PROGRAM = `#!/bin/sh
case "$WHO" in transient) exit 75 ;; permanent) echo "no such user"; exit 67 ;; esac
if [ -e "$OUT/slow" ]; then sleep "$(cat "$OUT/slow")"; fi
if [ -e "$OUT/die" ]; then head -c 1000 > "$OUT/part.$$"; kill -9 $$; fi
cat > "$OUT/part.$$" && mv "$OUT/part.$$" "$OUT/msg.$$"
`

transportContract<PipeRoute>('a pipe', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-contract-'))
  const program = join(folder, 'program')
  await writeFile(program, PROGRAM)
  await chmod(program, 0o755)
  const pipe = pipeSettings(program, {
    environment: {
      PATH: { text: '', parts: ['/usr/bin:/bin'] },
      OUT: { text: '', parts: [folder] },
      WHO: { text: '', parts: [{ macro: 'recipient_local' }] },
    },
  })
  const flags: Promise<unknown>[] = []
  const transport = new PipeTransport({ folder: join(folder, 'pipe'), reserve: 0 })
  return {
    transport: {
      deliver: async (messages, content, context) => {
        await Promise.all(flags)
        return await transport.deliver(messages, content, context)
      },
    },
    route: { kind: 'pipe', pipe },
    repeats: 2,
    cannot: { stuck: 'the message is in a file before the program starts' },
    slow: (milliseconds) => {
      flags.push(writeFile(join(folder, 'slow'), String(milliseconds / 1000)))
    },
    die: (dies) => {
      flags.push(dies ? writeFile(join(folder, 'die'), '') : unlink(join(folder, 'die')))
    },
    arrived: async () => {
      const names = (await readdir(folder)).filter((name) => name.startsWith('msg.'))
      return await texts(names.map((name) => join(folder, name)))
    },
    close: async () => await rm(folder, { recursive: true }),
  }
})

function webhookRoute(port: number): WebhookRoute {
  return { kind: 'webhook', webhook: webhookSettings(`http://127.0.0.1:${port}/`, { name: String(port) }) }
}

transportContract<WebhookRoute>('a webhook', async () => {
  const key = 'k'.repeat(32)
  const receiver = await WebhookReceiver.start(key)
  const statuses: Readonly<Record<string, number>> = { transient: 503, permanent: 404 }
  receiver.answer = ({ envelope }, response) =>
    response.writeHead(statuses[envelope.recipient.split('@')[0] ?? ''] ?? 200).end()
  const transport = new WebhookTransport({
    material: { files: () => Promise.resolve({ keys: [Buffer.from(key)], tls: undefined }) },
  })
  return {
    transport,
    route: webhookRoute(receiver.port),
    repeats: 1,
    slow: (milliseconds) => {
      receiver.answer = (_, response) => void setTimeout(() => response.writeHead(200).end(), milliseconds)
    },
    die: (dies) => {
      receiver.dieAfter = dies ? 100_000 : Number.POSITIVE_INFINITY
    },
    stuck: async () => {
      const server = await startStuck((socket) => socket.pause())
      return { ...server, route: webhookRoute(server.port) }
    },
    arrived: () => Promise.resolve(receiver.kept.map(({ body }) => body)),
    close: async () => {
      transport.close()
      await receiver.close()
    },
  }
})

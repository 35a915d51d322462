import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { maildirSettings } from '../../test/support/messages.ts'
import { noMx } from '../../test/support/no-mx.ts'
import { SmtpSink } from '../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../test/support/static-resolver.ts'
import { transportContract } from '../../test/support/transport-contract.ts'
import { SmtpTransport } from './attempt.ts'
import { MaildirTransport } from './maildir-transport.ts'
import type { MaildirRoute, SmtpRoute } from './route.ts'

transportContract<SmtpRoute>('SMTP', async () => {
  const sink = await SmtpSink.start()
  return {
    transport: new SmtpTransport({ resolver: new StaticResolver({}), mx: noMx, hostname: 'mx.test' }),
    route: { kind: 'smtp', hosts: [{ host: '127.0.0.1', port: sink.port }] },
    arrived: async () => {
      await sink.until(({ open }) => open === 0)
      return sink.received.map(({ content }) => content)
    },
    close: async () => await sink.close(),
  }
})

transportContract<MaildirRoute>('a maildir', async () => {
  const basedir = await mkdtemp(join(tmpdir(), 'postern-contract-'))
  const maildir = maildirSettings(basedir)
  return {
    transport: new MaildirTransport({ hostname: 'mx.test' }),
    route: { kind: 'maildir', place: { maildir, elements: ['bob'], create: true } },
    arrived: async () => {
      const names = await readdir(join(basedir, 'bob/new'))
      const texts = names.map(async (name) => await readFile(join(basedir, 'bob/new', name), 'latin1'))
      return (await Promise.all(texts)).map((text) =>
        text.replace(/^Return-Path: .*\n/, '').replaceAll('\n', '\r\n'),
      )
    },
    close: async () => await rm(basedir, { recursive: true }),
  }
})

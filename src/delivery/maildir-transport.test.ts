import assert from 'node:assert/strict'
import * as fsPromises from 'node:fs/promises'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after, test } from 'node:test'
import {
  contentOf,
  maildirSettings,
  openGate,
  outboundDefaults,
  storedMessage,
} from '../../test/support/messages.ts'
import type { MaildirSettings } from '../config/settings.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { LocalDomains } from './maildir.ts'
import { type MaildirFs, MaildirTransport } from './maildir-transport.ts'
import type { AttemptResult } from './transport.ts'

const root = await mkdtemp(join(tmpdir(), 'postern-maildir-'))
after(async () => await rm(root, { recursive: true }))

let places = 0
const newPlace = (): string => join(root, String(places++))

const NAME = '1700000000.10_00-00042-ABCDEF01.mx.test'
const message = storedMessage('10/00-00042-ABCDEF01')
const content = contentOf(
  'Received: by x\r\nReturn-Path: <forged@x>\r\n\tmore\r\nSubject: hi\r\n\r\n',
  'one\r',
  '\ntwo\r\n',
  '.\r\n',
)

interface Delivery {
  readonly message?: StoredMessage
  readonly content?: StoredContent
  readonly settings: MaildirSettings
  readonly fs?: Partial<MaildirFs>
  readonly mayRepeat?: boolean
  readonly transport?: MaildirTransport
  readonly signal?: AbortSignal
}

async function deliver(delivery: Delivery): Promise<AttemptResult> {
  const used = delivery.message ?? message
  const place = new LocalDomains([delivery.settings]).place(used.envelope.recipient)
  assert.ok(place)
  const fs = { ...fsPromises, ...delivery.fs }
  const transport = delivery.transport ?? new MaildirTransport({ hostname: 'mx.test', fs })
  const [result] = await transport.deliver([used], delivery.content ?? content, {
    route: { kind: 'maildir', place },
    options: outboundDefaults,
    mayRepeat: delivery.mayRepeat ?? false,
    gate: openGate,
    signal: delivery.signal ?? new AbortController().signal,
  })
  assert.ok(result)
  return result
}

const made = (basedir: string, changes: Partial<MaildirSettings> = {}) =>
  maildirSettings(basedir, { create_users: true, ...changes })

test('a message lands in new with LF line ends and one Return-Path on top', async () => {
  const basedir = newPlace()
  const result = await deliver({ settings: made(basedir) })
  const bytes = content.header.length + content.bodySize
  assert.deepEqual(result, {
    kind: 'delivered',
    stage: 9,
    text: '',
    bytes,
    remote: '',
  })
  assert.equal(
    await readFile(join(basedir, 'bob/new', NAME), 'latin1'),
    'Return-Path: <alice@example.org>\nReceived: by x\nSubject: hi\n\none\ntwo\n.\n',
  )
  assert.deepEqual(await readdir(join(basedir, 'bob/tmp')), [])
  assert.deepEqual(await readdir(join(basedir, 'bob/cur')), [])
  assert.equal((await stat(join(basedir, 'bob/new', NAME))).mode & 0o777, 0o600)
  assert.equal((await stat(join(basedir, 'bob'))).mode & 0o777, 0o700)
})

test('the domain is in the path only with domain_in_path; the null sender has an empty path', async () => {
  const basedir = newPlace()
  const bounce = storedMessage('10/00-00042-ABCDEF01', {
    sender: undefined,
    recipient: { local: 'First.Last+x', domain: 'EXAMPLE.com' },
  })
  await deliver({ settings: made(basedir, { domain_in_path: true }), message: bounce })
  const text = await readFile(join(basedir, 'example.com/first.last+x/new', NAME), 'latin1')
  assert.ok(text.startsWith('Return-Path: <>\n'))
})

test('a mailbox that is missing is refused for good, except postmaster', async () => {
  const basedir = newPlace()
  const settings = maildirSettings(basedir)
  const refused = {
    kind: 'permanent',
    stage: 5,
    text: '550 5.1.1 [internal] No such mailbox',
    bytes: 0,
    remote: '',
  }
  assert.deepEqual(await deliver({ settings }), refused)
  assert.deepEqual(await readdir(basedir), [])
  const unsafe = storedMessage('a', { recipient: { local: '../../etc', domain: 'example.com' } })
  assert.deepEqual(await deliver({ settings: made(basedir), message: unsafe }), refused)
  const postmaster = storedMessage('a', { recipient: { local: 'Postmaster', domain: '' } })
  assert.equal((await deliver({ settings, message: postmaster })).kind, 'delivered')
  await mkdir(join(basedir, 'bob'))
  assert.equal((await deliver({ settings })).kind, 'delivered')
})

test('nothing is written through a link, wherever it stands', async () => {
  const outside = newPlace()
  for (const part of ['', 'tmp', 'new', 'cur']) await mkdir(join(outside, part), { recursive: true })
  for (const link of [
    'example.com',
    'example.com/bob',
    'example.com/bob/tmp',
    'example.com/bob/new',
    'example.com/bob/cur',
  ]) {
    const basedir = newPlace()
    await mkdir(dirname(join(basedir, link)), { recursive: true })
    await symlink(outside, join(basedir, link))
    const delivery = deliver({ settings: made(basedir, { domain_in_path: true }) })
    await assert.rejects(delivery, /is not a directory; mail is not delivered through links/, link)
  }
  assert.deepEqual((await readdir(outside, { recursive: true })).toSorted(byText), ['cur', 'new', 'tmp'])
})

test('a link in the place of the file in tmp is not followed', async () => {
  const basedir = newPlace()
  await mkdir(join(basedir, 'bob/tmp'), { recursive: true })
  await writeFile(join(basedir, 'victim'), 'precious')
  await symlink(join(basedir, 'victim'), join(basedir, 'bob/tmp', NAME))
  assert.equal((await deliver({ settings: made(basedir) })).kind, 'delivered')
  assert.equal(await readFile(join(basedir, 'victim'), 'latin1'), 'precious')
})

test('an attempt that may repeat an earlier one finds what it left, also after it was read', async () => {
  const basedir = newPlace()
  const settings = made(basedir)
  const again = { settings, mayRepeat: true }
  await deliver({ settings })
  assert.equal((await deliver(again)).kind, 'delivered')
  assert.deepEqual(await readdir(join(basedir, 'bob/new')), [NAME])
  await rename(join(basedir, 'bob/new', NAME), join(basedir, 'bob/cur', `${NAME}:2,S`))
  assert.equal((await deliver(again)).kind, 'delivered')
  assert.deepEqual(await readdir(join(basedir, 'bob/new')), [])
  const other = storedMessage('20/00-00042-ABCDEF01')
  await deliver({ ...again, message: other })
  assert.equal((await readdir(join(basedir, 'bob/new'))).length, 1)
})

test('what a killed attempt left in tmp is replaced', async () => {
  const basedir = newPlace()
  await mkdir(join(basedir, 'bob/tmp'), { recursive: true })
  await writeFile(join(basedir, 'bob/tmp', NAME), 'half a mess')
  assert.equal((await deliver({ settings: made(basedir), mayRepeat: true })).kind, 'delivered')
  assert.match(await readFile(join(basedir, 'bob/new', NAME), 'latin1'), /^Return-Path.*two\n\.\n$/s)
  assert.deepEqual(await readdir(join(basedir, 'bob/tmp')), [])
})

test('two messages for a new mailbox at the same time both arrive', async () => {
  const basedir = newPlace()
  const transport = new MaildirTransport({ hostname: 'mx.test' })
  const ids = Array.from({ length: 8 }, (_, n) => `${n}0/00-00042-ABCDEF01`)
  const settings = made(basedir, { domain_in_path: true })
  await Promise.all(ids.map(async (id) => await deliver({ settings, transport, message: storedMessage(id) })))
  assert.equal((await readdir(join(basedir, 'example.com/bob/new'))).length, ids.length)
})

/** Files in tmp cannot be synced. */
const fail = (code: string): Partial<MaildirFs> => ({
  open: async (path, ...rest) => {
    const file = await fsPromises.open(path, ...rest)
    if (String(path).includes('/tmp/')) {
      file.sync = () => Promise.reject(Object.assign(new Error(code), { code }))
    }
    return file
  },
})

test('a full disk is a transient failure and leaves nothing behind; other errors are thrown', async () => {
  const basedir = newPlace()
  const settings = made(basedir)
  const full = await deliver({ settings, fs: fail('ENOSPC') })
  assert.equal(full.kind, 'transient')
  assert.match(full.text, /^452 4\.3\.1 \[internal\]/)
  await assert.rejects(deliver({ settings, fs: fail('EIO') }), { code: 'EIO' })
  assert.deepEqual(await readdir(join(basedir, 'bob/tmp')), [])
  assert.deepEqual(await readdir(join(basedir, 'bob/new')), [])
})

test('an attempt that is broken off leaves nothing behind', async () => {
  const basedir = newPlace()
  const stop = new AbortController()
  const endless: StoredContent = {
    header: content.header,
    bodySize: 1,
    body: async function* () {
      for (let n = 0; ; n++) {
        if (n === 3) stop.abort(new Error('stopping'))
        yield await Promise.resolve(Buffer.from('more\r\n'))
      }
    },
  }
  await assert.rejects(
    deliver({ settings: made(basedir), content: endless, signal: stop.signal }),
    /stopping/,
  )
  assert.deepEqual(await readdir(join(basedir, 'bob/tmp')), [])
})

/** Records what is done to the file system, in order; paths relative to `base`. */
function recorder(base: string, log: string[]): Partial<MaildirFs> {
  const named = (path: unknown) => relative(base, String(path)) || '.'
  return {
    mkdir: (async (path: string, options: { recursive?: boolean }) => {
      const first = await fsPromises.mkdir(path, options)
      if (options.recursive !== true || first !== undefined) log.push(`mkdir ${named(path)}`)
      return first
    }) as MaildirFs['mkdir'],
    rename: async (from, to) => {
      await fsPromises.rename(from, to)
      log.push(`rename ${named(from)} ${named(to)}`)
    },
    open: async (path, ...rest) => {
      const file = await fsPromises.open(path, ...rest)
      const sync = file.sync.bind(file)
      file.sync = async () => {
        await sync()
        log.push(`sync ${named(path)}`)
      }
      return file
    },
  }
}

test('it answers only after file, entry and every new directory are synced, each in its order', async () => {
  const basedir = join(newPlace(), 'mail')
  const log: string[] = []
  const base = dirname(dirname(basedir))
  const [a, b] = [relative(base, dirname(basedir)), relative(base, basedir)]
  const fs = recorder(base, log)
  const transport = new MaildirTransport({ hostname: 'mx.test', fs: { ...fsPromises, ...fs } })
  await deliver({ settings: made(basedir, { domain_in_path: true }), transport })
  const box = `${b}/example.com/bob`
  assert.deepEqual(log, [
    `mkdir ${b}`,
    `mkdir ${b}/example.com`,
    `mkdir ${box}`,
    `mkdir ${box}/tmp`,
    `mkdir ${box}/new`,
    `mkdir ${box}/cur`,
    `sync ${box}`,
    `sync ${b}/example.com`,
    `sync ${b}`,
    `sync ${a}`,
    'sync .',
    `sync ${box}/tmp/${NAME}`,
    `rename ${box}/tmp/${NAME} ${box}/new/${NAME}`,
    `sync ${box}/new`,
    `sync ${box}/tmp`,
  ])
  log.length = 0
  const settings = made(basedir, { domain_in_path: true })
  await deliver({ settings, transport, message: storedMessage('20/00-00042-ABCDEF01') })
  const other = NAME.replace('10_', '20_')
  assert.deepEqual(log, [
    `sync ${box}/tmp/${other}`,
    `rename ${box}/tmp/${other} ${box}/new/${other}`,
    `sync ${box}/new`,
    `sync ${box}/tmp`,
  ])
})

test('directories that an earlier process made are synced once by this one, and a repeat syncs the entry', async () => {
  const basedir = newPlace()
  await deliver({ settings: made(basedir) })
  const log: string[] = []
  await deliver({ settings: made(basedir), fs: recorder(basedir, log), mayRepeat: true })
  assert.deepEqual(log, ['sync bob', 'sync .', 'sync bob/new', 'sync bob/tmp'])
})

function byText(a: string, b: string): number {
  return a.localeCompare(b)
}

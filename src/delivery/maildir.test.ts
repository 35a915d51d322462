import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { maildirSettings } from '../../test/support/messages.ts'
import { LocalDomains, Maildirs } from './maildir.ts'

const root = mkdtempSync(join(tmpdir(), 'postern-maildirs-'))
after(() => rmSync(root, { recursive: true }))

function fresh(name: string): string {
  const path = join(root, name)
  mkdirSync(path)
  return path
}

const at = (local: string, domain = 'example.com') => ({ local, domain })

test('without create_users a recipient is known when its directory is there', () => {
  const basedir = fresh('known')
  mkdirSync(join(basedir, 'bob'))
  const maildirs = new Maildirs([maildirSettings(basedir)])
  assert.equal(maildirs.lookup(at('bob')), 'local')
  assert.equal(maildirs.lookup(at('BOB', 'EXAMPLE.com')), 'local')
  assert.equal(maildirs.lookup(at('bob+lists')), 'unknown')
  assert.equal(maildirs.lookup(at('carol')), 'unknown')
  assert.equal(maildirs.lookup(at('bob', 'example.org')), 'elsewhere')
  assert.equal(maildirs.lookup(at('bob', 'sub.example.com')), 'elsewhere')
})

test('with create_users every safe local part is known, before the basedir is there', () => {
  const maildirs = new Maildirs([maildirSettings(join(root, 'not-yet'), { create_users: true })])
  for (const local of ['bob', 'b', '_x', 'first.last', 'a-b_c=d', 'bob+lists', '007']) {
    assert.equal(maildirs.lookup(at(local)), 'local', local)
  }
  const unsafe = [
    '',
    '.',
    '..',
    '.bob',
    '../x',
    'a/b',
    'a\0',
    'a\\b',
    '-rf',
    'a b',
    'a:2,S',
    "o'brien",
    'm\xfcller',
    '%2e%2e',
    'a\nb',
    'x'.repeat(65),
    '+x',
    '~',
  ]
  for (const local of unsafe) assert.equal(maildirs.lookup(at(local)), 'unknown', JSON.stringify(local))
})

test('a link or a file is no mailbox, whatever create_users says', () => {
  const basedir = fresh('links')
  const outside = fresh('outside')
  symlinkSync(outside, join(basedir, 'link'))
  symlinkSync(join(root, 'nowhere'), join(basedir, 'dangling'))
  writeFileSync(join(basedir, 'file'), '')
  mkdirSync(join(outside, 'bob'))
  symlinkSync(outside, join(basedir, 'example.com'))
  for (const create_users of [true, false]) {
    const flat = new Maildirs([maildirSettings(basedir, { create_users })])
    for (const local of ['link', 'dangling', 'file']) assert.equal(flat.lookup(at(local)), 'unknown', local)
    const deep = new Maildirs([maildirSettings(basedir, { create_users, domain_in_path: true })])
    assert.equal(deep.lookup(at('bob')), 'unknown')
  }
})

test('postmaster is known in every domain, and without one', () => {
  const settings = [
    maildirSettings(join(root, 'pm'), { domains: ['Example.COM'] }),
    maildirSettings(join(root, 'pm2'), { domains: ['example.net', 'example.com'], domain_in_path: true }),
  ]
  const maildirs = new Maildirs(settings)
  for (const [local, domain] of [
    ['PostMaster', ''],
    ['postmaster', 'example.net'],
    ['POSTMASTER', 'example.com'],
  ]) {
    assert.equal(maildirs.lookup({ local: local ?? '', domain: domain ?? '' }), 'local')
  }
  assert.equal(maildirs.lookup(at('bob', '')), 'elsewhere')
  assert.equal(new Maildirs([]).lookup(at('postmaster', '')), 'elsewhere')
  const domains = new LocalDomains(settings)
  assert.deepEqual(domains.place(at('Postmaster', ''))?.elements, ['postmaster'])
  assert.deepEqual(domains.place(at('Bob', 'Example.NET'))?.elements, ['example.net', 'bob'])
  assert.equal(domains.place(at('bob'))?.maildir, settings[0], 'the first that names a domain has it')
})

test('a domain becomes a path element only when it is safe', () => {
  const domains = new LocalDomains([
    maildirSettings('/mail', { domains: ['..', 'a/b', '[192.0.2.1]', 'x.test'], domain_in_path: true }),
  ])
  const elements = (domain: string) => domains.place(at('bob', domain))?.elements
  assert.equal(elements('..'), undefined)
  assert.equal(elements('a/b'), undefined)
  assert.deepEqual(elements('[192.0.2.1]'), ['[192.0.2.1]', 'bob'])
  assert.deepEqual(elements('x.test'), ['x.test', 'bob'])
})

test('an answer is remembered for five seconds, and what is remembered is bounded', () => {
  const basedir = fresh('memory')
  let now = 0
  let looks = 0
  const directory = { isDirectory: () => true }
  const known = new Set<string>()
  const lstat = (path: string) => {
    looks++
    if (known.has(path)) return directory
    throw Object.assign(new Error(path), { code: 'ENOENT' })
  }
  const maildirs = new Maildirs([maildirSettings(basedir)], { clock: () => now, lstat })
  assert.equal(maildirs.lookup(at('bob')), 'unknown')
  known.add(join(basedir, 'bob'))
  now = 4999
  assert.equal(maildirs.lookup(at('bob')), 'unknown')
  assert.equal(looks, 1)
  now = 5000
  assert.equal(maildirs.lookup(at('bob')), 'local')
  for (let n = 0; n < 10_000; n++) maildirs.lookup(at(`x${n}`))
  looks = 0
  maildirs.lookup(at('x9999'))
  assert.equal(looks, 0, 'the latest is remembered')
  maildirs.lookup(at('bob'))
  assert.equal(looks, 1, 'the oldest was let go')
})

const brokenDisk = () => {
  throw Object.assign(new Error('io'), { code: 'EIO' })
}

test('a disk in trouble does not make a mailbox unknown', () => {
  assert.equal(new Maildirs([maildirSettings('/mail')], { lstat: brokenDisk }).lookup(at('bob')), 'local')
})

test('a mailbox that is removed by hand is missed', () => {
  const basedir = fresh('removed')
  mkdirSync(join(basedir, 'bob'))
  let now = 0
  const maildirs = new Maildirs([maildirSettings(basedir)], { clock: () => now })
  assert.equal(maildirs.lookup(at('bob')), 'local')
  rmdirSync(join(basedir, 'bob'))
  now += 5000
  assert.equal(maildirs.lookup(at('bob')), 'unknown')
})

import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setImmediate as tick } from 'node:timers/promises'
import { cheapHash } from '../../../test/support/cheap-hash.ts'
import { storeContract } from '../../../test/support/store-contract.ts'
import { assertSameTime } from '../../../test/support/time.ts'
import { FileStore } from './file-store.ts'
import { HashQueue } from './hash-queue.ts'
import { HtdigestStore } from './htdigest-store.ts'
import { parseHash, verifyHash } from './password-hash.ts'
import { AuthBusyError, AuthUnavailableError, type CredentialStore } from './store.ts'
import { CredentialStores } from './stores.ts'
import { userDigest } from './user-digest.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'postern-stores-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const users = { ann: 'one two', bob: 't:wo', jürgen: 'пароль' }
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
/** cheap ones: what is tested here is not the cost */
const QUICK = '$scrypt$ln=1,r=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$bm90IGEgaGFzaCBvZiBhbnl0aGluZyE'

async function write(name: string, text: string): Promise<string> {
  const file = path.join(folder, name)
  await writeFile(file, text)
  return file
}

const says = (store: CredentialStore, user: string, password: string): Promise<boolean> =>
  store.verify({ user, password, client: '192.0.2.1' })

storeContract('a file in clear text', async () => {
  const lines = Object.entries(users).map(([user, password]) => `${user}:${password}\n`)
  const queue = new HashQueue()
  return {
    store: new FileStore(await write('clear', `# users\n\n${lines.join('')}`), queue),
    broken: new FileStore(path.join(folder, 'missing'), queue),
    can: { clear: true, digest: true },
  }
})

let hashed: string | undefined
storeContract('a file of hashes', async () => {
  if (hashed === undefined) {
    const kinds = ['argon2id', 'scrypt', 'argon2id'] as const
    const lines = Object.entries(users).map(
      ([user, password], index) => `${bytes(user)}:${cheapHash(kinds[index] ?? 'scrypt', bytes(password))}\n`,
    )
    hashed = path.join(folder, 'hashed')
    await writeFile(hashed, lines.join(''), 'latin1')
  }
  const queue = new HashQueue()
  return {
    store: new FileStore(hashed, queue),
    broken: new FileStore(folder, queue),
    can: { clear: false, digest: false },
  }
})

storeContract('an htdigest file', async () => {
  const lines = Object.entries(users).map(
    ([user, password]) => `${bytes(user)}:r:${userDigest(bytes(user), 'r', bytes(password))}\r\n`,
  )
  const file = path.join(folder, 'digest')
  await writeFile(file, lines.join(''), 'latin1')
  return {
    store: new HtdigestStore(file),
    broken: new HtdigestStore(path.join(folder, 'missing')),
    can: { clear: false, digest: true },
  }
})

describe('file://', () => {
  test('comments, CR LF, colons in passwords, the first line of a user, and changes', async () => {
    const text = '# comment: yes\r\nann:one\r\nbob:t:wo\n\nann:other\nempty:\n:nobody\n#dan:x\n'
    const file = await write('users', text)
    const store = new FileStore(file, new HashQueue())
    assert.equal(await says(store, 'ann', 'one'), true)
    assert.equal(await says(store, 'ann', 'other'), false)
    assert.equal(await says(store, 'bob', 't:wo'), true)
    for (const [user, password] of [
      ['empty', ''],
      ['', 'nobody'],
      ['#dan', 'x'],
    ] as const) {
      assert.equal(await says(store, user, password), false, user)
    }
    await appendFile(file, 'eve:new\n')
    assert.equal(await says(store, 'eve', 'new'), true)
    await rename(await write('users.new', 'eve:nex\n'), file)
    assert.equal(await says(store, 'eve', 'nex'), true)
    await rm(file)
    await assert.rejects(says(store, 'eve', 'nex'), AuthUnavailableError)
  })

  test('a hash is never a password, of whatever kind it is', async () => {
    const lines = [
      QUICK,
      '$6$salt$hash',
      '$2b$12$abc',
      '$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g',
    ]
    const file = await write('kinds', lines.map((line, index) => `u${index}:${line}\n`).join(''))
    const store = new FileStore(file, new HashQueue())
    for (const [index, line] of lines.entries()) {
      assert.equal(await says(store, `u${index}`, line), false, line)
      const secret = await store.password(`u${index}`).catch((error: unknown) => {
        assert.ok(error instanceof AuthUnavailableError)
      })
      assert.equal(secret, undefined)
    }
    await assert.rejects(store.password('u0'), /kinds:1: the password is a hash/)
  })
})

test('digest:// takes a user in any realm for PLAIN, and only in the realm asked for in DIGEST-MD5', async () => {
  const file = await write(
    'realms',
    `ann:a:${userDigest('ann', 'a', 'one')}\nann:b:${userDigest('ann', 'b', 'two').toUpperCase()}\nann:c:nonsense\n`,
  )
  const store = new HtdigestStore(file)
  assert.equal(await says(store, 'ann', 'one'), true)
  assert.equal(await says(store, 'ann', 'two'), true)
  assert.equal(await says(store, 'ann', 'three'), false)
  assert.equal(await store.digest('ann', 'c'), undefined)
  assert.equal(await store.digest('ann', 'b'), userDigest('ann', 'b', 'two'))
})

describe('URIs', () => {
  test('a store is found by its scheme, and made once', async () => {
    const file = await write('found', 'ann:one\n')
    const stores = new CredentialStores({ schemes: new Map([['own', () => new HtdigestStore('/none')]]) })
    assert.equal(await says(stores.open(`FILE://${file}`), 'ann', 'one'), true)
    assert.equal(stores.open(`file://${file}`), stores.open(`file://${file}`))
    assert.ok(stores.open('own://x') instanceof HtdigestStore)
    for (const uri of ['', 'users', 'file://users', 'file://./users', 'digest://x', 'radius://x']) {
      assert.throws(() => stores.open(uri), AuthUnavailableError, uri)
    }
    assert.throws(() => stores.open('radius://x'), /radius:\/\/ is recognised, not implemented/)
    await assert.rejects(async () => stores.identities('file:///no/such/file'), AuthUnavailableError)
  })
})

describe('hashes', () => {
  test('those of the reference implementations', async () => {
    const argon = parseHash(
      '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
    )
    assert.ok(argon !== undefined)
    assert.equal(await verifyHash(argon, 'password'), true)
    assert.equal(await verifyHash(argon, 'passwore'), false)
    // RFC 7914 §12
    const hex =
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887'
    const hash = Buffer.from(hex, 'hex').toString('base64').replace(/=+$/, '')
    const salt = Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '')
    const scrypt = parseHash(`$scrypt$ln=14,r=8,p=1$${salt}$${hash}`)
    assert.ok(scrypt !== undefined)
    assert.equal(await verifyHash(scrypt, 'pleaseletmein'), true)
  })

  test('what is not whole, not canonical or too costly is not read', () => {
    const good = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA'
    assert.ok(parseHash(good) !== undefined)
    for (const bad of [
      good.replace('m=19456', 'm=999999'),
      good.replace('t=2', 't=0'),
      good.replace('t=2', 't=65'),
      good.replace('p=1', 'p=17'),
      good.replace('v=19', 'v=16'),
      good.replace('argon2id', 'argon2i'),
      `${good}=`,
      good.slice(0, -8),
      good.replace('aGFzaGhhc2hoYXNoaGFzaA', 'a'),
      '$scrypt$ln=21,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA',
      '$scrypt$ln=20,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA',
    ]) {
      assert.equal(parseHash(bad), undefined, bad)
    }
  })

  test('an unknown user costs what a known one costs, also in a file that has some in clear text', async () => {
    const lines = `ann:${cheapHash('scrypt', 'secret', 13)}\nbob:clear\n`
    const store = new FileStore(await write('timing', lines), new HashQueue())
    const refused = (user: string) => async () => assert.equal(await says(store, user, 'wrong'), false)
    for (const user of ['bob', 'nobody', '#']) {
      const known = await assertSameTime(user, refused('ann'), refused(user))
      assert.ok(known > 5, `a hash takes ${known} ms`)
    }
  })
})

/** Jobs that end when they are told to. */
function jobs(queue: HashQueue) {
  const running: (() => void)[] = []
  const began: string[] = []
  const start = (client: string): Promise<string> =>
    queue.run(client, async () => {
      began.push(client)
      await new Promise<void>((resolve) => running.push(resolve))
      return client
    })
  return { start, running, began }
}

describe('the queue for hashing', () => {
  test('few at once, and addresses take turns', async () => {
    const queue = new HashQueue({ concurrency: 1 })
    const { start, running, began } = jobs(queue)
    const all = ['a', 'a', 'a', 'b', 'c', 'b'].map(start)
    for (let n = 0; n < 6; n++) {
      await tick()
      assert.equal(running.length, 1)
      running.pop()?.()
    }
    assert.deepEqual(await Promise.all(all), ['a', 'a', 'a', 'b', 'c', 'b'])
    assert.deepEqual(began, ['a', 'a', 'b', 'c', 'a', 'b'])
    assert.equal(queue.waiting, 0)
  })

  test('what waits is bounded for an address and in all; a job that fails gives its place on', async () => {
    const queue = new HashQueue({ concurrency: 1, perClient: 2, total: 3 })
    const { start, running } = jobs(queue)
    const failing = queue.run('a', async () => {
      await tick()
      throw new Error('no')
    })
    const waiting = [start('a'), start('a')]
    await assert.rejects(start('a'), AuthBusyError)
    waiting.push(start('b'))
    // one of those who have the most gives way to an address that has none, and to nobody else
    const given = assert.rejects(waiting.splice(1, 1)[0] ?? Promise.resolve(''), AuthBusyError)
    waiting.push(start('c'))
    await given
    await assert.rejects(start('d'), AuthBusyError)
    await assert.rejects(start('b'), AuthBusyError)
    await assert.rejects(failing, /no/)
    for (let n = 0; n < 3; n++) {
      await tick()
      running.pop()?.()
    }
    assert.equal((await Promise.all(waiting)).length, 3)
    assert.equal(await queue.run('z', async () => 'free'), 'free')
  })
})

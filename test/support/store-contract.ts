/** What every credential store promises, whatever it keeps passwords in. Each kind of store runs it (`stores.test.ts`). */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AuthUnavailableError, type CredentialStore } from '../../src/smtp/auth/store.ts'
import { userDigest } from '../../src/smtp/auth/user-digest.ts'

export interface StoreUnderTest {
  /**
   * holds ann:"one two", bob:"t:wo" and jürgen:"пароль" (as UTF-8 octets), in the realm "r" where it has realms; cannot
   * be changed by the tests
   */
  readonly store: CredentialStore
  /** a store whose source cannot be reached */
  readonly broken: CredentialStore
  readonly can: { readonly clear: boolean; readonly digest: boolean }
}

const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

function verifierOf({ store }: StoreUnderTest): (user: string, password: string) => Promise<boolean> {
  return (user, password) => store.verify({ user, password, client: '192.0.2.1' })
}

export function storeContract(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`${name}, as every store`, () => {
    test('knows its users by their passwords, octet by octet', async () => {
      const verify = verifierOf(await make())
      assert.equal(await verify('ann', 'one two'), true)
      assert.equal(await verify('bob', 't:wo'), true)
      assert.equal(await verify(bytes('jürgen'), bytes('пароль')), true)
    })

    test('knows nobody else, and no other password', async () => {
      const verify = verifierOf(await make())
      const cases = [
        ['ann', 'One two'],
        ['ann', 'one two '],
        ['ann', ''],
        ['Ann', 'one two'],
        ['', ''],
        ['', 'one two'],
        ['ann:one two', ''],
        ['carol', 'one two'],
        ['__proto__', 'x'],
        ['constructor', 'x'],
        ['#ann', 'one two'],
        ['ann\n', 'one two'],
        ['ann', 'one two\0'],
        ['jürgen', 'пароль'],
      ] as const
      for (const [user, password] of cases)
        assert.equal(await verify(user, password), false, `${user} ${password}`)
    })

    test('gives clear text and digests, or says that it cannot', async () => {
      const { store, can } = await make()
      if (can.clear) {
        assert.equal(await store.password('ann', '192.0.2.1'), 'one two')
        assert.equal(await store.password('carol', '192.0.2.1'), undefined)
      } else await assert.rejects(store.password('ann', '192.0.2.1'), AuthUnavailableError)
      if (can.digest) {
        assert.equal(await store.digest('ann', 'r', '192.0.2.1'), userDigest('ann', 'r', 'one two'))
        assert.equal(await store.digest('carol', 'r', '192.0.2.1'), undefined)
        assert.equal(await store.digest('__proto__', 'r', '192.0.2.1'), undefined)
      } else await assert.rejects(store.digest('ann', 'r', '192.0.2.1'), AuthUnavailableError)
    })

    test('when its source cannot be reached, nobody can tell', async () => {
      const { broken } = await make()
      const attempt = { user: 'ann', password: 'one two', client: '' }
      await assert.rejects(broken.verify(attempt), AuthUnavailableError)
      await assert.rejects(broken.password('ann', '192.0.2.1'), AuthUnavailableError)
      await assert.rejects(broken.digest('ann', 'r', '192.0.2.1'), (error: Error) => {
        return error instanceof AuthUnavailableError && !error.message.includes('one two')
      })
    })
  })
}

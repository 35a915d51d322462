import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeXtext } from './xtext.ts'

const cases: readonly (readonly [text: string, value: string | undefined])[] = [
  ['', ''],
  ['plain', 'plain'],
  ['a+20b', 'a b'],
  ['+2B+3d', '+='],
  ['+00+ff', '\0\xff'],
  ['[UNAVAILABLE]', '[UNAVAILABLE]'],
  ['a b', undefined],
  ['a=b', undefined],
  ['a+', undefined],
  ['a+2', undefined],
  ['a+2g', undefined],
  ['a+ 2', undefined],
  ['\xe9', undefined],
  ['a\tb', undefined],
]

for (const [text, value] of cases) {
  test(`${JSON.stringify(text)} is ${value === undefined ? 'no xtext' : JSON.stringify(value)}`, () => {
    assert.equal(decodeXtext(text), value)
  })
}

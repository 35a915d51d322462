import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { HeaderBlock } from './headers.ts'
import { MimeNode } from './mime-tree.ts'

const header = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n'

function parse(body: string, head = header): MimeNode {
  return MimeNode.parse(new HeaderBlock(head), body)
}

function leaf(content: string): MimeNode {
  const headers = new HeaderBlock('')
  headers.append('Content-Type', 'text/plain')
  return MimeNode.leaf(headers, content)
}

/** The n-th part of a container. */
function child(node: MimeNode, index: number): MimeNode {
  const found = node.children[index]
  assert.ok(found !== undefined)
  return found
}

const text = fc.string({ unit: fc.constantFrom('a', '-', 'b', '\r\n', ' ', ':', '\n'), maxLength: 12 })

/** A tree of multiparts with whatever text in, around and between them. */
const body = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    text,
    fc
      .tuple(
        fc.constantFrom('b', 'c', 'bb'),
        text,
        fc.array(tie('tree'), { maxLength: 3 }),
        text,
        fc.boolean(),
      )
      .map(([boundary, before, parts, after, closed]) =>
        [
          before,
          ...parts.map(
            (part) => `--${boundary}\r\nContent-Type: multipart/x; boundary=${boundary}c\r\n\r\n${part}`,
          ),
          closed ? `--${boundary}--` : '',
          after,
        ].join('\r\n'),
      ),
  ),
})).tree

test('a tree that nobody changes is what was read, octet for octet', () => {
  holds(
    fc.property(body, (given) => {
      assert.equal(parse(given).content, given)
    }),
    { numRuns: 300 },
  )
})

test('whatever is put in, taken out or edited, the other parts stay as they are', () => {
  holds(
    fc.property(
      body,
      fc.nat(),
      fc.constantFrom('add', 'unlink', 'header', 'content'),
      (given, pick, what) => {
        const top = parse(given)
        const nodes = [...top.walk()]
        const node = nodes[pick % nodes.length] ?? top
        const others = nodes
          .filter((each) => each.children.length === 0 && each !== node && !within(each, node))
          .map(({ raw }) => raw)
        try {
          if (what === 'add') node.insert(leaf('new'), 0)
          else if (what === 'unlink') node.unlink()
          else if (what === 'header') node.headers.replace('X-New', 'new')
          else if (node !== top) node.content = 'new'
          const again = parse(top.content)
          const raws = [...again.walk()].map(({ raw }) => raw)
          for (const other of others) assert.ok(raws.includes(other), JSON.stringify(other))
        } catch (error) {
          if (!(error instanceof RangeError)) throw error
        }
      },
    ),
    { numRuns: 500 },
  )
})

function within(node: MimeNode, above: MimeNode): boolean {
  return node.parent !== undefined && (node.parent === above || within(node.parent, above))
}

test('what takes the place of an empty part has lines of its own', () => {
  const empty = parse('--b\r\n--b\r\nX: y\r\n--b')
  for (const index of [0, 1, 2]) child(empty, index).content = `new ${index}`
  const parts = [...parse(empty.content).walk()].slice(1)
  assert.deepEqual(
    parts.map((part) => [part.headers.values('x'), part.content]),
    [
      [[], 'new 0'],
      [['y'], 'new 1'],
      [[], 'new 2'],
    ],
  )
})

const two = 'before\r\n--b\r\n\r\none\r\n--b\r\nX: y\r\n\r\ntwo\r\n--b--\r\nafter\r\n'

test('parts go in at their place, and come out', () => {
  const top = parse(two)
  top.insert(leaf('zero'), 0)
  top.insert(leaf('three'), 3)
  const type = 'Content-Type: text/plain\r\n\r\n'
  assert.equal(
    top.content,
    `before\r\n--b\r\n${type}zero\r\n--b\r\n\r\none\r\n--b\r\nX: y\r\n\r\ntwo\r\n--b\r\n${type}three\r\n--b--\r\nafter\r\n`,
  )
  child(top, 2).unlink()
  child(top, 0).unlink()
  child(top, 1).unlink()
  assert.equal(top.content, 'before\r\n--b\r\n\r\none\r\n--b--\r\nafter\r\n')
})

test('an edit keeps what stands between the parts, also what cannot be read; nothing is put beside that', () => {
  const opaque = `X: ${'x'.repeat(70_000)}\r\n\r\nlost`
  for (const [gap, regular] of [
    ['\r\n--b \t\r\n', true],
    [`\r\n--b\r\n${opaque}\r\n--b\r\n`, false],
  ] as const) {
    const given = (x: string): string => `--b\r\nX: ${x}\r\n\r\none${gap}\r\ntwo\r\n--b--\r\n`
    const top = parse(given('y'))
    assert.equal(top.children.length, 2)
    child(top, 0).headers.replace('X', 'z')
    assert.equal(top.content, given('z'))
    if (regular) child(top, 0).unlink()
    else assert.throws(() => child(top, 0).unlink(), RangeError)
    if (!regular) assert.throws(() => top.insert(leaf('x'), 0), RangeError)
  }
})

test('a container that is made holds what is put into it', () => {
  const made = MimeNode.container(new HeaderBlock(''), 'multipart/alternative', 'in')
  made.insert(leaf('a'), 0)
  made.insert(leaf('b'), 1)
  const top = parse(two)
  top.insert(made, 2)
  const again = parse(top.content)
  assert.deepEqual(
    child(again, 2).children.map(({ content }) => content),
    ['a', 'b'],
  )
})

test('a message that was cut is closed when parts are put in', () => {
  const top = parse('--b\r\n\r\none')
  top.insert(leaf('two'), 1)
  assert.match(top.content, /two\r\n--b--\r\n$/)
})

test('what would become another tree when it is read again is refused', () => {
  const top = parse(two)
  assert.throws(() => top.insert(leaf('x\r\n--b--\r\nx'), 0), RangeError)
  assert.throws(() => top.insert(child(top, 0), 0), RangeError)
  assert.throws(() => child(top, 0).insert(leaf('x'), 0), RangeError)
  assert.throws(() => top.unlink(), RangeError)
  child(top, 0).content = 'x\r\n--b\r\nx'
  assert.throws(() => top.content, RangeError)
  const box = MimeNode.container(new HeaderBlock(''), 'multipart/mixed', 'x')
  assert.throws(() => box.insert(box, 0), RangeError)
  assert.throws(() => MimeNode.container(new HeaderBlock(''), 'text/plain', 'x'), RangeError)
  assert.throws(() => MimeNode.container(new HeaderBlock(''), 'multipart/mixed', 'x"\r\n'), RangeError)
})

test('depth and number of parts are bounded', () => {
  const many = parse(two)
  for (let n = many.count(); n < 1000; n++) many.insert(leaf('x'), 0)
  assert.throws(() => many.insert(leaf('x'), 0), RangeError)
  let deep = MimeNode.container(new HeaderBlock(''), 'multipart/mixed', 'd0')
  for (let n = 1; n <= 20; n++) {
    const next = MimeNode.container(new HeaderBlock(''), 'multipart/mixed', `n${n}d`)
    next.insert(deep, 0)
    deep = next
  }
  const top = MimeNode.container(new HeaderBlock(''), 'multipart/mixed', 'top')
  assert.throws(() => top.insert(deep, 0), RangeError)
})

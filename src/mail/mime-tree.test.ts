import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { HeaderBlock } from './headers.ts'
import { readContentHeader } from './mime.ts'
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

const words = fc.constantFrom(
  'a',
  '-',
  '--',
  '--b',
  '--b--',
  '--c',
  '--bb',
  '\r\n',
  '\r\n',
  '\n',
  '\r',
  ' ',
  ':',
  'X: y',
  '\xe9',
)
const text = fc.array(words, { maxLength: 8 }).map((all) => all.join(''))
const harmless = text.map((given) => given.replaceAll('-', 'x'))
const boundary = fc.constantFrom('b', 'c', 'bb')
const newline = fc.constantFrom('\r\n', '\r\n', '\n')

/** Parts with and without a header, with and without the line behind it, closed and cut off. */
const body = fc.letrec<{ part: string; body: string }>((tie) => ({
  body: fc
    .record({
      mark: boundary,
      newline,
      lead: text,
      parts: fc.array(tie('part'), { maxLength: 4 }),
      closing: fc.constantFrom('', '--', '-- \t'),
      tail: text,
    })
    .map(({ mark, newline, lead, parts, closing, tail }) =>
      [
        lead,
        ...parts.map((part) => `--${mark}${newline}${part}`),
        closing === '' ? '' : `--${mark}${closing}`,
        tail,
      ].join(newline),
    ),
  part: fc.oneof(
    { maxDepth: 3 },
    text,
    fc.tuple(newline, text).map(([line, content]) => `${line}${content}`),
    fc
      .tuple(fc.constantFrom('X: y', 'Content-Type: text/plain'), newline, text)
      .map(([head, line, content]) => `${head}${line}${line}${content}`),
    fc.constantFrom('', '\r\n', 'X: y', 'X: y\r\n', 'X: y\r\n\r\n'),
    fc
      .tuple(boundary, newline, tie('body'))
      .map(([mark, line, body]) => `Content-Type: multipart/x; boundary=${mark}${line}${line}${body}`),
  ),
})).body

type Edit =
  | { readonly kind: 'leaf' | 'content'; readonly at: number; readonly place: number; readonly text: string }
  | { readonly kind: 'box'; readonly at: number; readonly place: number; readonly mark: string }
  | { readonly kind: 'unlink' | 'header' | 'delete'; readonly at: number }
  | { readonly kind: 'move'; readonly at: number; readonly to: number; readonly place: number }

const at = fc.nat(30)
const place = fc.nat(4)
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constantFrom('leaf', 'content'), at, place, text: fc.oneof(text, harmless) }),
  fc.record({ kind: fc.constant('box'), at, place, mark: fc.constantFrom('b', 'c', 'n1', 'n2') }),
  fc.record({ kind: fc.constantFrom('unlink', 'header', 'delete'), at }),
  fc.record({ kind: fc.constant('move'), at, to: at, place }),
)

function pick(nodes: readonly MimeNode[], at: number): MimeNode {
  return nodes[at % nodes.length]!
}

function act(top: MimeNode, edit: Edit): void {
  const nodes = [...top.walk()]
  const node = pick(nodes, edit.at)
  switch (edit.kind) {
    case 'leaf':
      return node.insert(leaf(edit.text), edit.place)
    case 'box': {
      const box = MimeNode.container(new HeaderBlock(''), 'multipart/mixed', edit.mark)
      box.insert(leaf('inside'), 0)
      return node.insert(box, edit.place)
    }
    case 'content':
      // what is said to hold parts is read for them, whoever wrote it
      if (readContentHeader(node.headers).boundary === undefined) node.content = edit.text
      return
    case 'unlink':
      return node.unlink()
    case 'header':
      if (node !== top) node.headers.replace('X-New', 'new')
      return
    case 'delete':
      if (node !== top) node.headers.delete('X')
      return
    case 'move': {
      const target = pick(nodes, edit.to)
      if (node === top || target === node || isWithin(target, node)) return
      node.unlink()
      return target.insert(node, edit.place)
    }
  }
}

function isWithin(node: MimeNode, above: MimeNode): boolean {
  return node.parent !== undefined && (node.parent === above || isWithin(node.parent, above))
}

/** What a reader sees: the fields of each part, and the content of those that hold no others. */
function seen(node: MimeNode, top: boolean): unknown {
  const { headers, children } = node
  // a container holds a part at least (RFC 2046 section 5.1.1): one that lost its last one holds an empty one
  const emptied = node.isContainer && children.length === 0
  return {
    head: top ? '' : headers.toBytes().toString('latin1').trimEnd(),
    holds: emptied
      ? [{ head: '', holds: '' }]
      : children.length === 0
        ? node.content
        : children.map((child) => seen(child, false)),
  }
}

test('a tree that nobody changes is what was read, octet for octet', () => {
  holds(
    fc.property(body, (given) => {
      assert.equal(parse(given).content, given)
    }),
    { numRuns: 300 },
  )
})

test('edited in any order, a message read again is the tree that the editor saw, or it is refused', () => {
  holds(
    fc.property(body, fc.array(edit, { maxLength: 8 }), (given, edits) => {
      const top = parse(given)
      for (const each of edits) {
        try {
          act(top, each)
        } catch (error) {
          if (!(error instanceof RangeError)) throw error
        }
      }
      let content: string
      try {
        content = top.content
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        return
      }
      assert.deepEqual(seen(parse(content), true), seen(top, true))
    }),
    { numRuns: 500 },
  )
})

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

test('half a line end, where a message was cut or a content ends, is neither lost nor taken for a whole one', () => {
  for (const cut of ['--b', '--b\r', 'x\r\n--b\r']) {
    const top = parse(cut)
    top.insert(leaf('new'), 0)
    assert.deepEqual(
      parse(top.content).children.map(({ content }) => content),
      ['new', ''],
    )
    child(top, 0).unlink()
    child(top, 0).unlink()
    assert.equal(parse(top.content).children.length, 1)
  }
  const top = parse('--b\n\none\n--b\n\ntwo\n--b--\n')
  child(top, 0).content = 'x\r'
  assert.equal(child(parse(top.content), 0).content, 'x\r')
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

/**
 * Reads OpenSSL's `25-test_verify.t`: every `ok(…)` of it, and what the `verify(…)` within expects.
 *
 * It knows as much Perl as the recipe uses. A statement that it does not know is told as such, never left out: the number
 * of statements must be that of the recipe's own plan.
 */

export interface Vector {
  /** the recipe's own words */
  readonly name: string
  /** names of files of test/certs, without `.pem` */
  readonly cert: string
  readonly trusted: readonly string[]
  readonly untrusted: readonly string[]
  /** `sslclient`, `sslserver`, `timestampsign` …; '' = none is asked for */
  readonly purpose: string
  readonly options: readonly string[]
  readonly accepted: boolean
}

export interface Recipe {
  readonly vectors: readonly Vector[]
  /** tests that are no plain `verify(…)`, as they are written */
  readonly others: readonly string[]
}

/** @throws Error when the recipe does not read as expected */
export function readRecipe(text: string): Recipe {
  const code = text.replace(/^\s*#.*$|[ \t]#[^'"\n]*$/gm, '')
  const statements = [...code.matchAll(/\bok(?:_nofips)?\(/g)].map(({ index, 0: head }) =>
    balanced(code, index + head.length),
  )
  const planned = Number(/^plan tests => (\d+);/m.exec(code)?.[1])
  if (statements.length !== planned) {
    throw new Error(`the recipe plans ${planned} tests and ${statements.length} were found in it`)
  }
  const read = statements.map((statement) => readVector(statement) ?? statement)
  return {
    vectors: read.filter((each) => typeof each !== 'string'),
    others: read.filter((each) => typeof each === 'string'),
  }
}

/** The text up to the parenthesis that closes the one just before it. */
function balanced(code: string, start: number): string {
  let depth = 1
  let quote = ''
  for (let at = start; at < code.length; at += 1) {
    const char = code[at] ?? ''
    if (quote !== '') quote = char === quote ? '' : quote
    else if (char === '"' || char === "'") quote = char
    else if (char === '(') depth += 1
    else if (char === ')') depth -= 1
    if (depth === 0) return code.slice(start, at)
  }
  throw new Error('a parenthesis of the recipe is not closed')
}

function readVector(statement: string): Vector | undefined {
  const [head, not] = /^\s*(!?)verify\(/.exec(statement) ?? []
  if (head === undefined) return undefined
  const args = balanced(statement, head.length)
  const [, name] = /^\s*,\s*"([^"]*)"\s*$/.exec(statement.slice(head.length + args.length + 1)) ?? []
  const [cert, purpose, trusted, untrusted, ...options] = readList(args)
  if (name === undefined || typeof cert !== 'string' || typeof purpose !== 'string') return undefined
  if (!Array.isArray(trusted) || !Array.isArray(untrusted)) return undefined
  return { name, cert, purpose, trusted, untrusted, options: options.flat(), accepted: not === '' }
}

/** `"a", [qw(b c)], ["d"], @e` as values; a variable stands for itself. */
function readList(args: string): (string | string[])[] {
  const values: (string | string[])[] = []
  let rest = args.trim()
  while (rest !== '') {
    const [whole = '', text, words, list, variable] = ITEM.exec(rest) ?? []
    if (whole === '') throw new Error(`not understood in the recipe: ${rest}`)
    values.push(text ?? words?.split(/\s+/).filter(Boolean) ?? strings(list) ?? variable ?? '')
    rest = rest.slice(whole.length).trim()
  }
  return values
}

const ITEM = /^(?:"([^"]*)"|\[\s*qw\(([^)]*)\)\s*\]|\[([^\]]*)\]|([@$]\w+))\s*(?:,|$)/

function strings(list: string | undefined): string[] | undefined {
  return list === undefined ? undefined : [...list.matchAll(/"([^"]*)"/g)].map(([, word = '']) => word)
}

/**
 * The placeholders of an SQL query, `:name`, `$name` and `?` (momentum: modules/ds-core), found where SQL has them and
 * not inside strings, names or comments. A value never becomes part of a query's text: whoever runs it gives the database
 * the text with its own kind of placeholder, and the values beside it.
 */

/** One of these at a time, the first that fits; whatever fits none is one character of plain SQL. */
const TOKEN = new RegExp(
  [
    String.raw`(?<skip>\b[eE]'(?:[^'\\]|\\.|'')*'`, // PostgreSQL's strings with backslashes
    String.raw`'(?:[^']|'')*'`,
    String.raw`"(?:[^"]|"")*"`,
    '`(?:[^`]|``)*`',
    String.raw`--[^\n]*`,
    String.raw`/\*[^]*?\*/`,
    String.raw`\$(?<tag>(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?)\$[^]*?\$\k<tag>\$`, // dollar quoting
    '::|:=', // a cast, a slice
    String.raw`[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*)`, // words may hold $
    String.raw`[:$](?<name>[A-Za-z_]\w*)`,
    String.raw`(?<mark>\?)`,
  ].join('|'),
  'gs',
)

/** In the order of the text, as often as they stand there; '?' for one without a name. */
export function placeholders(sql: string): string[] {
  return [...sql.matchAll(TOKEN)].flatMap(({ groups }) => {
    const found = groups?.['name'] ?? groups?.['mark']
    return found === undefined ? [] : [found]
  })
}

/**
 * Replaces each placeholder.
 * @param write what stands for a name, or for the n-th `?` (from 1); undefined leaves it as it is
 */
export function replacePlaceholders(
  sql: string,
  write: (name: string | number) => string | undefined,
): string {
  let marks = 0
  return sql.replace(TOKEN, (whole: string, ...rest: unknown[]) => {
    const groups = rest.at(-1) as Record<string, string | undefined>
    const name = groups['name']
    if (name !== undefined) return write(name) ?? whole
    if (groups['mark'] === undefined) return whole
    marks += 1
    return write(marks) ?? whole
  })
}

/** The messages of a soak: each knows its transaction, and its end shows that nothing is missing. */

import { chance, type Plan, recipientOf, type Transaction } from './plan.ts'

/** Lines with dots at the start, some long. CRLF, without the final dot; not dot-stuffed. */
export function bodyOf({ number, bodySize }: Transaction): string {
  const lines: string[] = []
  for (let size = 0; size < bodySize; ) {
    const length = Math.floor(chance(number, lines.length, 7) * 120)
    const line = `${length % 10 === 0 ? '..' : ''}${'soak '.repeat(25).slice(0, length)}`
    lines.push(line)
    size += line.length + 2
  }
  return [...lines, `the end of t${number}`].join('\r\n')
}

/** As it goes over the wire, the final dot included. */
export function messageOf(plan: Plan, transaction: Transaction): string {
  const { number, sender, first } = transaction
  const head = [
    `From: <${sender === '' ? 'mailer-daemon@origin.test' : sender}>`,
    `To: <${recipientOf(plan.seed, first, transaction)}>`,
    'Subject: soak',
    `X-Soak: t${number}`,
    '',
    '',
  ]
  return `${head.join('\r\n')}${bodyOf(transaction).replaceAll(/^\./gm, '..')}\r\n.`
}

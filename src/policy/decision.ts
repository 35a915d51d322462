/**
 * What the scripts of one phase have said so far, and the verdict that it comes to.
 *
 * A reply stands until another replaces it. Of several answers the strictest wins: close, then refuse, then discard,
 * then a changed text of success, then go on. Text from a script can never start a new reply: line breaks become
 * lines of the same reply, other control characters are dropped.
 */

import { CONTINUE, type Verdict } from './verdict.ts'

/** the module that rejectlog names */
export const MODULE = 'scriptlet'

const maxText = 2000
const maxLines = 20
/** seconds that the scripts of one phase can ask a session to wait */
const maxTarpit = 3600

export class Decision {
  /** of the reply; undefined while nobody has set one */
  code: number | undefined
  text = ''
  /** the connection is closed after the reply */
  close = false
  #discard: string | undefined
  #tarpit = 0

  reply(code: number, text: string): void {
    this.code = code
    this.text = text
  }

  /** @param reason what the log says; must start with a reply code, otherwise a standard text is used */
  discard(reason: string | undefined): void {
    if (reason === undefined) this.#discard = '550 5.7.0 discarded by policy'
    else if (/^[245]\d\d /.test(reason)) this.#discard = cleanText(reason).replaceAll('\n', ' ')
    else this.#discard = '550 5.7.1 [internal] discarded by policy'
  }

  tarpit(seconds: number): void {
    this.#tarpit = Math.min(maxTarpit, this.#tarpit + seconds)
  }

  /** @param stopped a script asked for no further scripts */
  verdict(stopped: boolean): Verdict {
    const answer = this.#answer(stopped)
    // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field; awaiting a value whose `then` is no function is harmless
    return this.#tarpit > 0 ? { kind: 'tarpit', seconds: this.#tarpit, then: answer } : answer
  }

  #answer(stopped: boolean): Verdict {
    const { code } = this
    if (this.close) {
      const closing = code ?? 421
      return { kind: 'disconnect', code: closing, text: this.#textFor(closing), module: MODULE }
    }
    if (code !== undefined && code >= 400)
      return { kind: 'reply', code, text: this.#textFor(code), module: MODULE }
    if (this.#discard !== undefined) return { kind: 'discard', text: this.#discard, module: MODULE }
    if (code !== undefined) return { kind: 'reply', code, text: this.#textFor(code), module: MODULE }
    return stopped ? { kind: 'done' } : CONTINUE
  }

  #textFor(code: number): string {
    const text = cleanText(this.text)
    if (text !== '') return text
    if (code >= 500) return '5.7.1 refused by policy'
    return code >= 400 ? '4.7.1 refused by policy, please try again later' : '2.0.0 OK'
  }
}

/** Whether a reply with this code may answer a command: a 3xx would promise a dialogue that does not follow. */
export function isReplyCode(code: number): boolean {
  return Number.isInteger(code) && code >= 200 && code <= 599 && (code < 300 || code >= 400)
}

/** Lines separated by "\n", bounded, without other control characters. */
function cleanText(text: string): string {
  return (
    text
      .slice(0, maxText)
      .replaceAll(/\r\n?/g, '\n')
      // oxlint-disable-next-line no-control-regex -- control characters are what is removed
      .replaceAll(/[\0-\x08\x0b-\x1f\x7f]/g, '')
      .split('\n')
      .slice(0, maxLines)
      .join('\n')
      .replace(/\s+$/, '')
  )
}

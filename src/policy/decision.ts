/**
 * What the scripts of one phase have said so far, and the verdict that it comes to.
 *
 * A reply stands until another replaces it. Of several answers the strictest wins: close, then refuse, then discard,
 * then a changed text of success, then go on. Text from a script can never start a new reply: line breaks become
 * lines of the same reply, other control characters are dropped.
 */

import { type AnsweredBy, CONTINUE, type Verdict } from './verdict.ts'

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
  #asked: AnsweredBy | undefined
  /** whose the reply is, the discarding, and the last wait */
  #replyBy: AnsweredBy | undefined
  #discardBy: AnsweredBy | undefined
  #tarpitBy: AnsweredBy | undefined

  /**
   * A script is about to be asked: what is said from now on is its word.
   * @param from FILE:LINE, where it is known before the answer
   */
  ask(name: string, callout: string, from?: string): void {
    this.#asked = from === undefined ? { name, callout } : { name, callout, from }
  }

  /** the script that was asked last */
  get asked(): AnsweredBy | undefined {
    return this.#asked
  }

  /** The script that was asked last failed there. */
  failedAt(from: string | undefined): void {
    this.#asked = this.#askedAt(from)
  }

  /** The script that was asked last answers by what its function returned. @param defined where that begins */
  returned(defined: string | undefined): void {
    if (this.#asked !== undefined && defined !== undefined) this.#asked = { ...this.#asked, defined }
  }

  #askedAt(from: string | undefined): AnsweredBy | undefined {
    return this.#asked && (from === undefined ? this.#asked : { ...this.#asked, from })
  }

  /** @param from FILE:LINE of the script that says so */
  reply(code: number, text: string, from?: string): void {
    this.code = code
    this.text = text
    this.setBy(from)
  }

  /** Code, text or close were set one by one. */
  setBy(from?: string): void {
    this.#replyBy = this.#askedAt(from)
  }

  /** @param reason what the log says; must start with a reply code, otherwise a standard text is used */
  discard(reason: string | undefined, from?: string): void {
    this.#discardBy = this.#askedAt(from)
    if (reason === undefined) this.#discard = '550 5.7.0 discarded by policy'
    else if (/^[245]\d\d /.test(reason)) this.#discard = cleanText(reason).replaceAll('\n', ' ')
    else this.#discard = '550 5.7.1 [internal] discarded by policy'
  }

  tarpit(seconds: number, from?: string): void {
    this.#tarpitBy = this.#askedAt(from)
    this.#tarpit = Math.min(maxTarpit, this.#tarpit + seconds)
  }

  /** @param stopped a script asked for no further scripts */
  verdict(stopped: boolean): Verdict {
    const answer = this.#answer(stopped)
    if (this.#tarpit === 0) return answer
    // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field; awaiting a value whose `then` is no function is harmless
    return { kind: 'tarpit', seconds: this.#tarpit, then: answer, ...by(this.#tarpitBy) }
  }

  #answer(stopped: boolean): Verdict {
    const { code } = this
    if (this.close) {
      const closing = code ?? 421
      return { kind: 'disconnect', ...this.#words(closing) }
    }
    if (code !== undefined && code >= 400) return { kind: 'reply', ...this.#words(code) }
    if (this.#discard !== undefined)
      return { kind: 'discard', text: this.#discard, module: MODULE, ...by(this.#discardBy) }
    if (code !== undefined) return { kind: 'reply', ...this.#words(code) }
    return stopped ? { kind: 'done' } : CONTINUE
  }

  #words(code: number): { code: number; text: string; module: string; by?: AnsweredBy } {
    return { code, text: this.#textFor(code), module: MODULE, ...by(this.#replyBy) }
  }

  #textFor(code: number): string {
    const text = cleanText(this.text)
    if (text !== '') return text
    if (code >= 500) return '5.7.1 refused by policy'
    return code >= 400 ? '4.7.1 refused by policy, please try again later' : '2.0.0 OK'
  }
}

function by(who: AnsweredBy | undefined): { by?: AnsweredBy } {
  return who === undefined ? {} : { by: who }
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

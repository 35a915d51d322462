/**
 * DKIM as scripts see it (momentum: lua/ref-msys-validate-opendkim-*): what was found out about the signatures of a
 * message, and signatures that a script asks for. Numbers of states and flags are those of libopendkim.
 */

import type { SignatureFacts, SignatureWish } from '../phases.ts'
import type { Method, MethodTable, ObjectHost } from './callout.ts'
import { Arguments } from './lib/arguments.ts'
import { type PlainValue, pushValues } from './lib/values.ts'
import { copyPhases } from './routing-methods.ts'
import { type LuaState, ScriptError } from './state.ts'

/** opendkim.dkim */
export const dkimConstants = {
  DKIM_STAT_OK: 0,
  DKIM_STAT_BADSIG: 1,
  DKIM_STAT_NOSIG: 2,
  DKIM_STAT_NOKEY: 3,
  DKIM_STAT_CANTVRFY: 4,
  DKIM_STAT_SYNTAX: 5,
  DKIM_STAT_NORESOURCE: 6,
  DKIM_STAT_INTERNAL: 7,
  DKIM_STAT_REVOKED: 8,
  DKIM_STAT_INVALID: 9,
  DKIM_STAT_NOTIMPLEMENT: 10,
  DKIM_STAT_KEYFAIL: 11,
  DKIM_STAT_CBREJECT: 12,
  DKIM_STAT_CBINVALID: 13,
  DKIM_STAT_CBTRYAGAIN: 14,
  DKIM_STAT_CBERROR: 15,
  DKIM_SIGFLAG_IGNORE: 1,
  DKIM_SIGFLAG_PROCESSED: 2,
  DKIM_SIGFLAG_PASSED: 4,
  DKIM_SIGFLAG_TESTKEY: 8,
  DKIM_SIGFLAG_NOSUBDOMAIN: 16,
  DKIM_SIGFLAG_KEYLOADED: 32,
} as const

const SIGN = 'msys.validate.opendkim.sign'

/** Of the class `msg`, under names that `handles.lua` takes away. */
export function originMethods({ state }: Pick<ObjectHost, 'state'>): MethodTable {
  return {
    /** (msg): a list of signatures, and the state of the message */
    dkim_signatures: (L, { message }) => {
      const { signatures } = message
      if (signatures === undefined)
        throw new ScriptError(
          'msys.validate.opendkim.verify needs opendkim { validate = true }, and works from validate_data on',
        )
      return pushValues(state, L, signatures.map(plain), statusOfAll(signatures))
    },
  }
}

/** Those that wait. */
export function signingMethods({ state, waits }: ObjectHost): MethodTable {
  const sign: Method = (L, { message, subject, ownMessage }) => {
    const { sign: ask } = message
    if (!copyPhases.includes(subject.phase))
      throw new ScriptError(`${SIGN} works from validate_data_spool_each_rcpt on`)
    if (ownMessage)
      throw new ScriptError(`${SIGN}: what a script made and sends is signed by the dkim_domain stanzas`)
    if (ask === undefined) throw new ScriptError(`${SIGN} needs an opendkim stanza in the configuration`)
    const wish = readWish(state, L)
    return waits.begin(L, SIGN, async () => {
      await ask(wish)
      return () => 0
    })
  }
  /** (msg, vctx, options) */
  return { dkim_sign: sign }
}

function readWish(state: LuaState, L: number): SignatureWish {
  const args = new Arguments(state, L, SIGN)
  if (!args.isTable(3)) throw args.bad(3, 'table')
  const text = (key: string): string | undefined => args.textField(3, key)
  const required = (key: string): string => {
    const value = text(key)
    if (value === undefined) throw args.refuse(3, `field "${key}" is missing`)
    return value
  }
  // RFC 6376 §8.2: anybody could add to the body
  const limit = args.field(3, 'body_length_limit')
  if (limit !== undefined && limit !== false && limit !== 0)
    throw args.refuse(3, 'field "body_length_limit" has to be false')
  const file = text('keyfile')
  return {
    domain: text('signing_domain') ?? required('base_domain'),
    selector: required('selector'),
    key: file === undefined ? { base64: required('keybuf') } : { file },
    digest: text('digest'),
    identity: text('identity'),
    headerCanon: text('header_canon'),
    bodyCanon: text('body_canon'),
    headers: text('headerlist')?.split(':', 200),
  }
}

function plain(signature: SignatureFacts): PlainValue {
  const { result, reason, domain, selector, algorithm, identity, canonicalization, headers } = signature
  const bits = bitsOf(signature)
  return {
    status: statusOf(signature),
    flags:
      dkimConstants.DKIM_SIGFLAG_PROCESSED +
      (result === 'pass' ? dkimConstants.DKIM_SIGFLAG_PASSED : 0) +
      (bits === 0 ? 0 : dkimConstants.DKIM_SIGFLAG_KEYLOADED),
    error: reason ?? (result === 'pass' ? '' : result),
    domain,
    selector,
    algorithm,
    bits,
    identity: identity ?? (domain === undefined ? undefined : `@${domain}`),
    canonicalization,
    headers,
  }
}

/** An unknown key is a weak one. Ed25519 has one size (RFC 8463), which is not told. */
function bitsOf({ keyBits, algorithm, result }: SignatureFacts): number {
  const used = result === 'pass' || result === 'fail'
  return keyBits ?? (used && algorithm === 'ed25519-sha256' ? 256 : 0)
}

function statusOf({ result, reason }: Pick<SignatureFacts, 'result' | 'reason'>): number {
  if (result === 'pass') return dkimConstants.DKIM_STAT_OK
  if (result === 'fail') return dkimConstants.DKIM_STAT_BADSIG
  if (result === 'temperror') return dkimConstants.DKIM_STAT_KEYFAIL
  return reason === 'no key' ? dkimConstants.DKIM_STAT_NOKEY : dkimConstants.DKIM_STAT_CANTVRFY
}

/** One that passes is enough (RFC 6376 §6.1). */
function statusOfAll(signatures: readonly SignatureFacts[]): number {
  const [first] = signatures
  if (first === undefined) return dkimConstants.DKIM_STAT_NOSIG
  return statusOf(signatures.find(({ result }) => result === 'pass') ?? first)
}

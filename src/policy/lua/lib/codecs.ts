/** `msys.base64`, `msys.qp`, `msys.idn`: codecs, with charsets where Momentum has them. */

import { domainToASCII, domainToUnicode } from 'node:url'
import { decodeQuotedPrintable, encodeQuotedPrintable } from '../../../mail/quoted-printable.ts'
import { ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import { fromCharset, toCharset } from './charsets.ts'
import type { Family, LibraryHost } from './family.ts'
import { fromBytes, pushValues, toBytes } from './values.ts'

/** octets of one text: what is made of it lives outside of Lua's memory for a moment */
const maxText = 4 * 1_048_576
const lineLength = 76

export function codecFamily({ state }: LibraryHost): Family {
  return {
    functions: {
      'msys.base64.encode': (L) => {
        const args = new Arguments(state, L, 'msys.base64.encode')
        const encoded = btoa(converted(args, 3, toCharset, text(args)))
        state.push(L, args.truth(2) ? fold(encoded) : encoded)
        return 1
      },
      'msys.base64.decode': (L) => {
        const args = new Arguments(state, L, 'msys.base64.decode')
        const decoded = decodeBase64(text(args))
        if (decoded === undefined) throw new ScriptError('msys.base64.decode: not base64')
        state.push(L, converted(args, 2, fromCharset, decoded))
        return 1
      },
      'msys.qp.encode': (L) => {
        const args = new Arguments(state, L, 'msys.qp.encode')
        state.push(
          L,
          encodeQuotedPrintable(converted(args, 2, toCharset, text(args)), {
            lineEnds: 'any',
            stuff: args.truth(3),
          }),
        )
        return 1
      },
      'msys.qp.decode': (L) => {
        const args = new Arguments(state, L, 'msys.qp.decode')
        const decoded = decodeQuotedPrintable(text(args))
        if (decoded === undefined) throw new ScriptError('msys.qp.decode: not quoted-printable')
        state.push(L, converted(args, 2, fromCharset, decoded))
        return 1
      },
      'msys.idn.to_idn': (L) => {
        const name = fromBytes(new Arguments(state, L, 'msys.idn.to_idn').string(1))
        return pushDomain(L, domainToASCII(name))
      },
      'msys.idn.to_utf8': (L) => {
        const name = fromBytes(new Arguments(state, L, 'msys.idn.to_utf8').string(1))
        // what is no valid IDN must not come out as it went in
        return pushDomain(L, domainToASCII(name) === '' ? '' : domainToUnicode(name))
      },
    },
  }

  function pushDomain(L: number, name: string): number {
    if (name === '') return pushValues(state, L, undefined, 'not a domain name that can be converted')
    return pushValues(state, L, toBytes(name))
  }
}

function fold(encoded: string): string {
  return encoded.replaceAll(new RegExp(`.{${lineLength}}(?=.)`, 'g'), '$&\r\n')
}

/** Line ends and blanks are skipped; anything else that is not base64 is refused. */
export function decodeBase64(text: string): string | undefined {
  const bare = text.replaceAll(/[\r\n\t ]+/g, '')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(bare) || bare.replaceAll('=', '').length % 4 === 1) return undefined
  return Buffer.from(bare, 'base64').toString('latin1')
}

function text(args: Arguments): string {
  const value = args.string(1)
  if (value.length > maxText) throw args.refuse(1, `at most ${maxText} octets`)
  return value
}

/** A text in the charset that an argument names, as it is when there is none. */
function converted(args: Arguments, index: number, convert: typeof toCharset, value: string): string {
  const charset = args.optionalString(index)
  const result = charset === undefined ? value : convert(value, charset)
  if (result === undefined)
    throw args.refuse(index, `the text cannot be converted, or the charset "${charset ?? ''}" is not known`)
  return result
}

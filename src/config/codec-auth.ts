/**
 * Parameters of the AUTH mechanisms (momentum: inbound-smtp): dictionaries whose keys are checked like options.
 *
 * What a store can do for a mechanism is decided here as far as its scheme says it: challenge–response needs clear
 * text (CRAM-MD5) or htdigest lines (DIGEST-MD5). A mechanism that could never let anybody in is an error, not a
 * surprise at the first login.
 */

import { bool, type Codec, type CodecContext, dictionary, oneOf, scalar } from './codec.ts'
import { suggestion } from './edit-distance.ts'
import { quote } from './render.ts'
import type { Dictionary } from './settings.ts'
import type { Value } from './tree.ts'

/** undefined when the key is good, after the context was told otherwise */
type Key = (value: Value, context: CodecContext) => { readonly value: unknown } | undefined
type Entries = Readonly<Record<string, string>>

const log_authentication: Key = (value, context) => bool(value, context)

/** Momentum's own has a blank: "Momentum Console". A colon would end it in the lines of htdigest. */
const realm = scalar('a name of plain characters without colon, quote or backslash', (text) =>
  /^[ !#-9;-[\]-~]{1,128}$/.test(text) ? text : undefined,
)

/** What a value is whose form is checked with the whole dictionary. */
const text: Key = () => ({ value: undefined })

/** PLAIN and LOGIN. */
export const passwordParameters: Codec<Dictionary> = parameters({ uri: text, log_authentication }, needsUri)

/** CRAM-MD5: both sides compute with the password itself. */
export const cramMd5Parameters: Codec<Dictionary> = parameters({ uri: text, log_authentication }, (lower) => {
  if (schemeOf(lower['uri']) === 'digest') {
    return 'needs a uri whose passwords are clear text: CRAM-MD5 cannot be computed from the hashes of digest://'
  }
  return needsUri(lower)
})

/** DIGEST-MD5: `digest://` holds hashes, `file://` clear text; stored_cleartext says which, as in Momentum. */
export const digestMd5Parameters: Codec<Dictionary> = parameters(
  {
    uri: text,
    log_authentication,
    realm: (value, context) => realm(value, context),
    stored_cleartext: (value, context) => bool(value, context),
  },
  (lower) => {
    const scheme = schemeOf(lower['uri'])
    const clear = isYes(lower['stored_cleartext'])
    if (scheme === 'file' && !clear) {
      return 'has passwords in clear text at file://, so it needs stored_cleartext = true; hashes are read from digest:// (lines user:realm:hash)'
    }
    if (scheme === 'digest' && clear) {
      return 'has hashes at digest://, which are not clear text: leave out stored_cleartext'
    }
    return needsUri(lower)
  },
)

/** EXTERNAL, an extension: which part of a verified certificate is the identity, and who of those may log in. */
export const externalParameters: Codec<Dictionary> = parameters(
  {
    identity: (value, context) => oneOf(['san_email', 'san_dns', 'cn', 'fingerprint'])(value, context),
    uri: text,
    log_authentication,
  },
  (lower) => {
    if (lower['identity'] === undefined) {
      return 'needs an identity: what of the certificate is the user, such as [ identity = "san_email" ]'
    }
    if (lower['uri'] !== undefined && schemeOf(lower['uri']) !== 'file') {
      return 'has a uri that is not a file of identities, such as "file:///etc/postern/partners"'
    }
    return undefined
  },
)

function parameters(
  keys: Readonly<Record<string, Key>>,
  whole: (lower: Entries) => string | undefined,
): Codec<Dictionary> {
  const names = Object.keys(keys)
  return (value, context) => {
    const result = dictionary(value, context)
    if (result === undefined || value.kind !== 'dictionary') return undefined
    let good = true
    for (const { key, value: each } of value.entries) {
      const check = Object.hasOwn(keys, key.text.toLowerCase()) ? keys[key.text.toLowerCase()] : undefined
      if (check === undefined) {
        context.error(`has no key ${quote(key.text)}${suggestion(key.text, names)}`, key.at)
        good = false
      } else {
        const nested: CodecContext = {
          ...context,
          error: (tail, at) => context.error(`has a key ${key.text.toLowerCase()} that ${tail}`, at),
        }
        if (check(each, nested) === undefined) good = false
      }
    }
    const lower = Object.fromEntries(
      Object.entries(result.value).map(([key, one]) => [key.toLowerCase(), one]),
    )
    const wrong = whole(lower)
    if (wrong !== undefined) return context.error(wrong, value.at)
    return good ? { value: Object.freeze(lower) } : undefined
  }
}

function needsUri(lower: Entries): string | undefined {
  const scheme = schemeOf(lower['uri'])
  if (scheme !== undefined) {
    // a store of the operator's own may have any name, but hardly one that is nearly a built-in one's
    const near = builtInSchemes.includes(scheme) ? '' : suggestion(scheme, builtInSchemes)
    return near === '' ? undefined : `has a uri of an unknown kind, ${quote(scheme)}${near}`
  }
  return 'needs a uri that names the users, such as [ uri = "file:///etc/postern/users" ]'
}

const builtInSchemes = ['file', 'digest']

/** in lower case; undefined when it is no uri */
function schemeOf(uri: string | undefined): string | undefined {
  return /^([a-z][a-z0-9_+.-]*):\/\//i.exec(uri ?? '')?.[1]?.toLowerCase()
}

/** Momentum's words for yes; the value was checked before. */
function isYes(word: string | undefined): boolean {
  return /^(?:true|on|yes|enabled|1)$/i.test(word ?? '')
}

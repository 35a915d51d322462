/**
 * Values of `datasource` and `auth_ds` (momentum: modules/ds-core, modules/auth-ds): where a database is, and how
 * passwords in it are encoded.
 *
 * A connection string holds a password: no message here quotes more of it than the name of a key.
 */

import { isIP } from 'node:net'
import path from 'node:path'
import { type Codec, type CodecContext, dictionary, listWhere, scalar } from './codec.ts'
import { suggestion } from './edit-distance.ts'
import { quote } from './render.ts'
import type { DatasourceUri, PasswordType, PostgresLogin } from './settings.ts'
import type { Scalar } from './tree.ts'

/** `( "sqlite:/path" "pgsql:host=…;dbname=…" )` */
export const datasourceUris: Codec<readonly DatasourceUri[]> = (value, context) => {
  const result = listWhere(datasourceUri)(value, context)
  if (result?.value.length === 0) return context.error('needs at least one database', value.at)
  return result
}

/** Momentum's other drivers: a datasource of theirs loads, and whoever uses it is told. */
const unbuiltDrivers = ['odbc', 'ldap', 'ldaps', 'mysql', 'csv', 'cdb', 'iowrapper']
const drivers = ['sqlite', 'pgsql', ...unbuiltDrivers]

function datasourceUri(
  { text, at }: Scalar,
  context: CodecContext,
): { readonly value: DatasourceUri } | undefined {
  const [, driver = '', rest = ''] = /^([a-z][a-z0-9]*):(.*)$/is.exec(text) ?? []
  const name = driver.toLowerCase()
  if (name === 'sqlite') {
    if (rest === '' || /[\0\r\n]/.test(rest))
      return context.error('needs the path of a file after sqlite:', at)
    return { value: { kind: 'sqlite', file: { path: path.resolve(context.directory, rest), text: rest } } }
  }
  if (name === 'pgsql') {
    const login = postgresLogin(rest)
    return typeof login === 'string' ? context.error(login, at) : { value: { kind: 'pgsql', login } }
  }
  if (unbuiltDrivers.includes(name)) {
    context.warning(`${name}: is recognised, not implemented; sqlite: and pgsql: are`, at)
    return { value: { kind: 'unbuilt', driver: name } }
  }
  const wrong = driver === '' ? '' : `, and ${quote(driver)} is none${suggestion(driver, drivers)}`
  return context.error(`is "sqlite:/path" or "pgsql:host=…;dbname=…;user=…"${wrong}`, at)
}

/** The keys of libpq's connection strings that are taken. */
const loginKeys = [
  'host',
  'hostaddr',
  'port',
  'dbname',
  'user',
  'password',
  'connect_timeout',
  'application_name',
  'sslmode',
  'sslrootcert',
]
const sslModes = ['disable', 'require', 'verify-full'] as const
/** where Debian's PostgreSQL has its socket */
const SOCKET_FOLDER = '/var/run/postgresql'

/** @returns what is wrong, when it is text */
function postgresLogin(text: string): PostgresLogin | string {
  const pairs = new Map<string, string>()
  for (const part of text.split(';')) {
    if (part.trim() === '') continue
    const [, key = '', value = ''] = /^\s*(\w+)\s*=(.*)$/s.exec(part) ?? []
    if (key === '') return 'is pgsql: and key=value pairs with ; between them'
    if (!loginKeys.includes(key)) return `has no key ${quote(key)} in pgsql:${suggestion(key, loginKeys)}`
    if (pairs.has(key)) return `has the key ${quote(key)} twice in pgsql:`
    if (/[\0\r\n]/.test(value)) return `has a value of ${quote(key)} that is not one line`
    pairs.set(key, value.trim())
  }
  const user = pairs.get('user')
  if (!user) return 'needs a user in pgsql:, such as user=postern'
  const port = numberOf(pairs.get('port'), 5432, 65_535)
  if (port === undefined) return 'has a port in pgsql: that is not a number from 1 to 65535'
  const connectTimeout = numberOf(pairs.get('connect_timeout'), 5, 300)
  if (connectTimeout === undefined) return 'has a connect_timeout in pgsql: that is not from 1 to 300 seconds'
  const ssl = sslOf(pairs)
  if (typeof ssl === 'string') return ssl
  return {
    host: pairs.get('hostaddr') ?? pairs.get('host') ?? SOCKET_FOLDER,
    port,
    database: pairs.get('dbname') ?? user,
    user,
    password: pairs.get('password') ?? '',
    connectTimeout,
    applicationName: pairs.get('application_name') ?? 'postern',
    ssl,
  }
}

function sslOf(pairs: ReadonlyMap<string, string>): PostgresLogin['ssl'] | string {
  const mode = sslModes.find((word) => word === (pairs.get('sslmode') ?? 'disable').toLowerCase())
  const rootFile = pairs.get('sslrootcert')
  if (mode === undefined) {
    return `has an sslmode in pgsql: that is not one of ${sslModes.join(', ')}${suggestion(pairs.get('sslmode') ?? '', sslModes)}`
  }
  if (mode !== 'verify-full') {
    return rootFile === undefined
      ? { mode }
      : `has an sslrootcert in pgsql: that sslmode=${mode} does not use`
  }
  if (rootFile === undefined || !path.isAbsolute(rootFile)) {
    return 'needs sslrootcert=/absolute/path in pgsql: for sslmode=verify-full'
  }
  return { mode, rootFile, servername: pairs.get('host') ?? '' }
}

function numberOf(text: string | undefined, otherwise: number, max: number): number | undefined {
  if (text === undefined) return otherwise
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0
  return number >= 1 && number <= max ? number : undefined
}

/** Whether what is asked and answered may cross a network without encryption. */
export function crossesNetworkInClear({ host, ssl }: PostgresLogin): boolean {
  const near =
    host.startsWith('/') ||
    host === 'localhost' ||
    host === '::1' ||
    (isIP(host) === 4 && host.startsWith('127.'))
  return ssl.mode === 'disable' && !near
}

const passwordTypes: Readonly<Record<string, PasswordType>> = {
  clear: 'clear',
  md5: 'md5',
  md5_hex: 'md5_hex',
  md5_base64: 'md5_base64',
  smd5: 'smd5',
  sha1_hex: 'sha1_hex',
  sha1_base64: 'sha1_base64',
  ssha1: 'ssha1',
  rfc2307: 'rfc2307',
  'digest-md5': 'digest-md5',
  // +
  phc: 'phc',
  ucrypt: 'ucrypt',
  hmac_md5: 'hmac_md5',
}

/** A name of an encoding of passwords, in any case. */
export function findPasswordType(text: string): PasswordType | undefined {
  const name = text.toLowerCase()
  return Object.hasOwn(passwordTypes, name) ? passwordTypes[name] : undefined
}

export const passwordType: Codec<PasswordType | undefined> = (value, context) => {
  if (value.kind === 'scalar' && findPasswordType(value.text) === undefined) {
    return context.error(`has no encoding ${quote(value.text)}${wordHint(value.text)}`, value.at)
  }
  return scalar('the name of an encoding', findPasswordType)(value, context)
}

/** What a type column says → an encoding. */
export const passwordTypeMap: Codec<Readonly<Record<string, PasswordType>>> = (value, context) => {
  const result = dictionary(value, context)
  if (result === undefined || value.kind !== 'dictionary') return undefined
  let good = true
  const entries: [string, PasswordType][] = []
  for (const { key, value: each } of value.entries) {
    const text = each.kind === 'scalar' ? each.text : ''
    const type = findPasswordType(text)
    if (type !== undefined) entries.push([key.text, type])
    else {
      context.error(`has no encoding ${quote(text)}${wordHint(text)}`, each.at)
      good = false
    }
  }
  return good ? { value: Object.freeze(Object.fromEntries(entries)) } : undefined
}

function wordHint(text: string): string {
  const near = suggestion(text, Object.keys(passwordTypes))
  return near === '' ? `; there are ${Object.keys(passwordTypes).join(', ')}` : near
}

/** SQL: may span lines. */
export const sqlText: Codec<string> = scalar('a query', (text) =>
  text.trim() !== '' && !text.includes('\0') ? text : undefined,
)

export const macroNames = [
  'username',
  'username_localpart',
  'username_domain',
  'password',
  'realm',
  'uri',
  'crypt',
] as const
export type MacroName = (typeof macroNames)[number]

const MACRO = /%\{([^{}]*)\}/g

/** `[ user = "%{username}" ]`: what stands for each placeholder of the query. Unknown macros are errors. */
export const expansionMap: Codec<Readonly<Record<string, string>>> = mapWith(wrongEntry)

/** The same where groups are asked for, at any time after the login: nobody knows a password then. */
export const groupMap: Codec<Readonly<Record<string, string>>> = mapWith((key, text) => {
  const wrong = wrongEntry(key, text)
  if (wrong !== undefined) return wrong
  const names = [...text.matchAll(MACRO)].map(([, inside = '']) => inside.split('||')[0] ?? '')
  const late = names.find((name) => !name.startsWith('username') && name !== 'uri')
  return late === undefined
    ? undefined
    : `has %{${late}}: groups are asked for anew before each command, and only the name and the uri are known then`
})

function mapWith(
  wrong: (key: string, text: string) => string | undefined,
): Codec<Readonly<Record<string, string>>> {
  return (value, context) => {
    const result = dictionary(value, context)
    if (result === undefined || value.kind !== 'dictionary') return undefined
    let good = true
    for (const { key, value: each } of value.entries) {
      const problem = each.kind === 'scalar' ? wrong(key.text, each.text) : undefined
      if (problem === undefined) continue
      context.error(problem, each.at)
      good = false
    }
    return good ? result : undefined
  }
}

function wrongEntry(key: string, text: string): string | undefined {
  if (!/^[a-z_]\w{0,62}$/i.test(key))
    return `has a key ${quote(key)} that cannot be a placeholder such as :user`
  for (const [, inside = ''] of text.matchAll(MACRO)) {
    const [name = ''] = inside.split('||')
    if (name === 'nonce' || name === 'digest-uri')
      return `has %{${name}}: challenges are verified here and not by a database; return the password instead`
    if (!macroNames.includes(name as MacroName))
      return `has no parameter ${quote(`%{${name}}`)}${suggestion(name, macroNames)}`
  }
  return text.replaceAll(MACRO, '').includes('%{') ? `has an unfinished %{ in ${quote(text)}` : undefined
}

/** Replaces the macros of a text; `%{name||default}` gives the default where the value is empty. */
export function expandMap(text: string, values: Readonly<Record<MacroName, string>>): string {
  return text.replaceAll(MACRO, (_whole, inside: string) => {
    const bar = inside.indexOf('||')
    const name = bar === -1 ? inside : inside.slice(0, bar)
    const value = values[name as MacroName]
    return value === '' && bar !== -1 ? inside.slice(bar + 2) : value
  })
}

/**
 * The client's side of a login to the console: whose process this is, on a UNIX socket; a certificate; or a password, by
 * challenge and response where that is offered. A password crosses in clear only inside TLS or a UNIX socket.
 */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { LoginOffer } from '../../console/door.ts'
import type { Frame } from '../../console/protocol.ts'
import { isProofFolder } from '../../operator/system-user.ts'
import { parseDirectives, quoted } from '../../smtp/auth/digest-directives.ts'
import { digestResponse } from '../../smtp/auth/digest-md5.ts'
import { userDigest } from '../../smtp/auth/user-digest.ts'

/** Sends a line and waits for its frame. */
export type Ask = (line: string) => Promise<Frame>

/** How a user and a password are come by. Both are asked for once, however often one has to log in. */
export interface Credentials {
  /** as Unicode text */
  user(): Promise<string>
  /** as a byte string @throws LoginError where there is none */
  password(user: string): Promise<string>
}

export interface Channel {
  readonly ask: Ask
  readonly offer: LoginOffer
  /** inside TLS, or on a UNIX socket */
  readonly secure: boolean
  /** the UNIX socket that this is connected to (`realSocket`) */
  readonly socket: string | undefined
  /** the name by which the server is known here */
  readonly host: string
}

/** The login failed, or cannot be tried; the message says why. */
export class LoginError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'LoginError'
  }
}

/** Logs in where that is needed, and says whose process this is where that can be shown. @throws LoginError */
export async function logIn(channel: Channel, credentials: Credentials): Promise<void> {
  const { offer } = channel
  if (offer.folder !== undefined) await showSystemUser(channel, offer.folder)
  if (!offer.needed) return
  if (offer.mechanisms.includes('EXTERNAL')) {
    const { status } = await channel.ask('login EXTERNAL =')
    if (status === 'ok') return
  }
  const mechanism = preferred.find(
    (name) => offer.mechanisms.includes(name) && (channel.secure || !inClear.has(name)),
  )
  if (mechanism === undefined)
    throw new LoginError(
      offer.mechanisms.every((name) => name === 'EXTERNAL')
        ? 'the gate asks for a certificate that it knows: --cert FILE --key FILE'
        : `the gate offers ${offer.mechanisms.join(', ') || 'no mechanism'}, which would send the password in clear`,
    )
  const user = await credentials.user()
  const password = await credentials.password(user)
  const frame = await exchanges[mechanism](channel, toBytes(user), password)
  if (frame.status === 'ok') return
  throw new LoginError((frame.status === 'error' && frame.text.trim()) || 'the login failed')
}

type PasswordMechanism = 'DIGEST-MD5' | 'CRAM-MD5' | 'PLAIN' | 'LOGIN'

const preferred: readonly PasswordMechanism[] = ['DIGEST-MD5', 'CRAM-MD5', 'PLAIN', 'LOGIN']
const inClear = new Set<string>(['PLAIN', 'LOGIN'])

const exchanges: Readonly<
  Record<PasswordMechanism, (channel: Channel, user: string, password: string) => Promise<Frame>>
> = {
  'DIGEST-MD5': byDigest,
  'CRAM-MD5': async ({ ask }, user, password) => {
    const first = await ask('login CRAM-MD5')
    if (first.status !== 'challenge') return first
    const hash = createHmac('md5', Buffer.from(password, 'latin1'))
      .update(decode(first), 'latin1')
      .digest('hex')
    return await ask(encode(`${user} ${hash}`))
  },
  PLAIN: async ({ ask }, user, password) => await ask(`login PLAIN ${encode(`\0${user}\0${password}`)}`),
  LOGIN: async ({ ask }, user, password) => {
    const first = await ask(`login LOGIN ${encode(user)}`)
    return first.status === 'challenge' ? await ask(encode(password)) : first
  },
}

/** RFC 2831, with the proof of the server, which knows the password too. */
async function byDigest({ ask, host }: Channel, user: string, password: string): Promise<Frame> {
  const first = await ask('login DIGEST-MD5')
  if (first.status !== 'challenge') return unproven(first)
  const given = parseDirectives(decode(first))
  const realm = given?.get('realm') ?? ''
  const nonce = given?.get('nonce') ?? ''
  const cnonce = randomBytes(24).toString('base64')
  const inputs = { nonce, cnonce, nc: '00000001', uri: `postern/${host}`, authzid: '' }
  const secret = userDigest(user, realm, password)
  const response = digestResponse('AUTHENTICATE', secret, inputs)
  const second = await ask(
    encode(
      `charset=utf-8,username=${quoted(user)},realm=${quoted(realm)},nonce=${quoted(nonce)},nc=${inputs.nc},` +
        `cnonce=${quoted(cnonce)},digest-uri=${quoted(inputs.uri)},response=${response},qop=auth`,
    ),
  )
  if (second.status !== 'challenge') return unproven(second)
  const proof = /^rspauth=([0-9a-f]{32})$/.exec(decode(second))?.[1] ?? ''.padStart(32, '0')
  if (!timingSafeEqual(Buffer.from(proof), Buffer.from(digestResponse('', secret, inputs))))
    throw new LoginError(NO_GATE)
  return await ask('=')
}

const NO_GATE = 'whoever answers there does not know the password: this is not the gate'

/** Before the server's proof a login may fail, and nothing else. @throws LoginError */
function unproven(frame: Frame): Frame {
  if (frame.status !== 'error') throw new LoginError(NO_GATE)
  return frame
}

/** Makes the folder whose owner the gate looks at. Where that cannot be done nobody is known, which may be enough. */
async function showSystemUser({ ask, socket }: Channel, folder: string): Promise<void> {
  if (socket === undefined || !isProofFolder(folder, socket)) return
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch {
    return
  }
  try {
    await ask('login SYSTEM-USER')
  } finally {
    remove(folder)
  }
}

/** Whoever is on the other end may have been there first. */
function remove(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // then it is no longer ours
  }
}

export interface CredentialSources {
  readonly user: string | undefined
  readonly passwordFile: string | undefined
  /** POSTERN_CONSOLE_PASSWORD */
  readonly environment: string | undefined
  /** asks without an echo; undefined: nobody is there to be asked */
  readonly prompt: ((question: string) => Promise<string | undefined>) | undefined
}

/** The password from a file, the environment or whoever sits there, never from the command line. */
export function credentialsFrom({ user, passwordFile, environment, prompt }: CredentialSources): Credentials {
  let known: string | undefined
  return {
    user: () => Promise.resolve(user ?? userInfo().username),
    password: async (name) => {
      known ??=
        passwordFile !== undefined
          ? firstLine(readFileSync(passwordFile, 'latin1'))
          : environment !== undefined
            ? toBytes(environment)
            : await prompt?.(`Password of ${name}: `)
      if (known !== undefined && known !== '') return known
      throw new LoginError(
        'the gate asks for a password: --password-file FILE, POSTERN_CONSOLE_PASSWORD in the environment, or a terminal',
      )
    },
  }
}

function firstLine(text: string): string {
  return text.split(/\r?\n/, 1)[0] ?? ''
}

function encode(octets: string): string {
  return octets === '' ? '=' : Buffer.from(octets, 'latin1').toString('base64')
}

function decode({ text }: Frame): string {
  return Buffer.from(text.trim(), 'base64').toString('latin1')
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

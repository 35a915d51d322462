/** Which socket `postern console` talks to, and how. */

import { readFileSync, statSync } from 'node:fs'
import { type ConnectionOptions, getCACertificates } from 'node:tls'
import { normaliseAddress } from '../../config/address.ts'
import { ConfigError } from '../../config/diagnostic.ts'
import { loadSettings } from '../../config/load.ts'
import type { ControlListenSettings } from '../../config/settings.ts'
import { blocksOf } from '../../tls/pem.ts'
import { locateConfig } from '../locate.ts'

export interface EndpointOptions {
  /** a configuration file, the socket itself, or [user@]host:port */
  readonly config?: string
  /** as whom to log in; who runs the program unless it is said */
  readonly user?: string
  /** of host:port: the CAs of the server's certificate, and the operator's own certificate and key */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export type ConsoleEndpoint = {
  /** for messages and for the prompt */
  readonly shown: string
  /** as whom to log in, where it is said */
  readonly user: string | undefined
} & (
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp'
      readonly host: string
      readonly port: number
      /** undefined: no TLS */
      readonly tls: ConnectionOptions | undefined
    }
)

/**
 * The endpoint that is named: a socket, `[user@]host:port`, or a configuration file, of which a UNIX socket is taken
 * before a TCP one.
 * @throws ConfigError that says what to write where there is none
 */
export async function consoleEndpoint(options: EndpointOptions): Promise<ConsoleEndpoint> {
  const { config: named, user } = options
  if (named !== undefined) {
    const found = statSync(named, { throwIfNoEntry: false })
    if (found?.isSocket()) return { kind: 'unix', path: named, shown: named, user }
    if (found === undefined) return remote(named, options)
  }
  const file = locateConfig(named)
  const { settings, diagnostics } = await loadSettings(file)
  if (settings === undefined) {
    const message = `${file} cannot be read as it is now; name the socket of the running gate: postern console -c /path/of/the/socket`
    throw new ConfigError([...diagnostics, { severity: 'error', message }])
  }
  const open = settings.controlListens.filter(({ scope }) => scope.options.enable)
  for (const { address } of open)
    if (address.kind === 'unix') return { kind: 'unix', path: address.path, shown: address.path, user }
  const [tcp] = open
  if (tcp !== undefined) return ofListen(tcp, options)
  throw mistake(
    `${file} has no console; write for example: Control_Listener "console" { Listen "/run/postern/console" { } }`,
  )
}

const FORM = /^(?:(?<user>[^@\s]+)@)?(?:\[(?<v6>[0-9a-f:.]+)\]|(?<host>[^\s:/[\]@]+)):(?<port>\d{1,5})$/i

function remote(named: string, options: EndpointOptions): ConsoleEndpoint {
  const groups = FORM.exec(named)?.groups
  if (groups === undefined) {
    const hint = /^ssh:/i.test(named)
      ? ': run postern console there, as in ssh HOST postern console'
      : ': there is neither a configuration file nor the socket of a gate that runs'
    throw mistake(`${named}${hint}`)
  }
  const host = groups['v6'] ?? groups['host'] ?? ''
  const { ca, cert, key } = options
  const encrypted = ca !== undefined || cert !== undefined || !isLoopback(host)
  const trust = ca === undefined ? getCACertificates('system') : readFileSync(ca)
  return {
    kind: 'tcp',
    host,
    port: Number(groups['port']),
    shown: named.replace(/^[^@]*@/, ''),
    user: groups['user'] ?? options.user,
    tls: encrypted ? { ca: trust, ...own(cert, key), ...nameOf(host) } : undefined,
  }
}

/** Whoever can read the configuration knows the server by its very certificate. */
function ofListen({ address, scope }: ControlListenSettings, options: EndpointOptions): ConsoleEndpoint {
  if (address.kind === 'unix') throw new TypeError('a TCP address was expected')
  const host = address.host === undefined ? '127.0.0.1' : address.host
  const shown = `${host.includes(':') ? `[${host}]` : host}:${address.port}`
  const { use_ssl, tls_certificate } = scope.options
  const common = { kind: 'tcp', host, port: address.port, shown, user: options.user } as const
  if (!use_ssl || tls_certificate === undefined) return { ...common, tls: undefined }
  const pem = readFileSync(tls_certificate.path)
  const [expected] = blocksOf(pem, ['CERTIFICATE'], 'certificate')
  return {
    ...common,
    tls: {
      ca: pem,
      allowPartialTrustChain: true,
      checkServerIdentity: (_host, certificate) =>
        expected?.equals(certificate.raw) === true
          ? undefined
          : new Error('its certificate is not that of the configuration'),
      ...own(options.cert, options.key),
    },
  }
}

/** The operator's own certificate. */
function own(cert: string | undefined, key: string | undefined): ConnectionOptions {
  if (cert === undefined) return {}
  const pem = readFileSync(cert)
  return { cert: pem, key: key === undefined ? pem : readFileSync(key) }
}

function nameOf(host: string): ConnectionOptions {
  return normaliseAddress(host) === undefined ? { servername: host } : {}
}

function isLoopback(host: string): boolean {
  const address = normaliseAddress(host)
  return host === 'localhost' || address === '::1' || address?.startsWith('127.') === true
}

function mistake(message: string): ConfigError {
  return new ConfigError([{ severity: 'error', message }])
}

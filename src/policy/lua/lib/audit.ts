/** `msys.audit_series` and `msys.audit` (momentum: lua/ref-msys-audit-*, modules/inbound-audit). */

import { normaliseAddress, parseCidr } from '../../../config/address.ts'
import { ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import { type Audited, audited } from './audit-monitors.ts'
import { type SeriesType, type Span, seriesTypes } from './audit-series.ts'
import type { Family, HostFunction, LibraryHost } from './family.ts'

const maxKey = 1024
const maxWindows = 10_000

export function auditSeriesFamily(host: LibraryHost): Family {
  const { state, services } = host
  const { series } = services.stores
  const known = (args: Arguments): { readonly name: string; readonly type: SeriesType } => {
    const name = args.string(1)
    const type = series.typeOf(name)
    if (type === undefined) throw args.refuse(1, `no series "${name}" is defined`)
    return { name, type }
  }
  return {
    functions: {
      'msys.audit_series.define': (L) => {
        define(host, L)
        return 0
      },
      'msys.audit_series.add': (L) => {
        const args = new Arguments(state, L, 'msys.audit_series.add')
        const { name, type } = known(args)
        const count = args.isTable(2) ? args.numberField(2, 'count', 1) : 1
        series.add(name, itemKey(host, { L, args, type }), { count, now: services.now() })
        return 0
      },
      'msys.audit_series.count': (L) => {
        const args = new Arguments(state, L, 'msys.audit_series.count')
        const { name, type } = known(args)
        const span = windowsOf(args, services.now())
        const count =
          type === 'string'
            ? series.count(name, itemKey(host, { L, args, type }), span)
            : series.countBlock(name, block(host, keyOption(args, 'key'), { L, args }), span, () =>
                state.spend(),
              )
        state.lua.lua_pushnumber(L, count)
        return 1
      },
      'msys.audit_series.remove_item': (L) => {
        const args = new Arguments(state, L, 'msys.audit_series.remove_item')
        const { name, type } = known(args)
        series.remove(name, itemKey(host, { L, args, type }))
        return 0
      },
    },
  }
}

export function auditFamily(host: LibraryHost): Family {
  const { state, services } = host
  const counting =
    (what: Audited): HostFunction =>
    (L) => {
      const args = new Arguments(state, L, `msys.audit.${what}`)
      const monitor = args.string(1)
      openMonitor(host, args, monitor)
      const of = windowsOf(args, services.now())
      const cidr = block(host, keyOption(args, 'cidr'), { L, args })
      const pace = (): void => state.spend()
      state.lua.lua_pushnumber(L, services.stores.monitors.count(what, monitor, { ...of, block: cidr, pace }))
      return 1
    }
  return {
    functions: {
      ...Object.fromEntries(audited.map((what) => [`msys.audit.${what}`, counting(what)])),
      'msys.audit.inbound_session_count': (L) => {
        const args = new Arguments(state, L, 'msys.audit.inbound_session_count')
        const service = args.optionalString(2) ?? 'SMTP'
        if (service !== 'SMTP') throw args.refuse(2, 'the only service that is counted here is SMTP')
        const count = host.current()?.session?.count
        if (count === undefined)
          throw new ScriptError('msys.audit.inbound_session_count: there is no session here')
        const sessions = count({ cidr: args.optionalString(1) ?? '' })
        if (sessions === undefined)
          throw args.refuse(1, 'an address or a block such as 192.0.2.0/24 expected')
        state.lua.lua_pushnumber(L, sessions)
        return 1
      },
    },
  }
}

function define({ state, services, log }: LibraryHost, L: number): void {
  const args = new Arguments(state, L, 'msys.audit_series.define')
  const name = args.string(1)
  const type = seriesTypes.find((each) => each === args.string(2))
  if (type === undefined) throw args.refuse(2, `${seriesTypes.join(', ')} expected`)
  const shape = { interval: args.number(3, 1), windows: Math.floor(args.number(4, 1, maxWindows)) }
  if (args.has(5)) {
    if (!args.isTable(5)) throw args.bad(5, 'table')
    for (const option of ['serialize', 'replicate', 'persist']) {
      const value = args.field(5, option)
      if (value !== undefined && value !== false && value !== 'none')
        log.tell('warning', `audit series "${name}": ${option} is not built and does nothing`)
    }
  }
  if (!services.stores.series.define(name, type, shape))
    throw new ScriptError('there are too many audit series')
}

function openMonitor({ services }: LibraryHost, args: Arguments, monitor: string): void {
  const [, interval = '', windows = ''] = /^(\d{1,7}),(\d{1,5})$/.exec(monitor) ?? []
  const shape = { interval: Number(interval), windows: Number(windows) }
  if (shape.interval < 1 || shape.windows < 1 || shape.windows > maxWindows)
    throw args.refuse(1, 'a monitor is named "seconds,windows"')
  if (!services.stores.monitors.open(monitor, shape)) throw args.refuse(1, 'there are too many monitors')
}

function windowsOf(args: Arguments, now: number): Span {
  if (!args.isTable(2)) return { from: 0, to: 0, now }
  const from = Math.max(0, Math.floor(args.numberField(2, 'startv', 0)))
  return { from, to: Math.max(from, Math.floor(args.numberField(2, 'endv', 0))), now }
}

interface Call {
  readonly L: number
  readonly args: Arguments
}

/** The key or block of the second argument: the field of a table, or the argument itself; an `ac` is no text. */
function keyOption(args: Arguments, field: string): string | undefined {
  if (args.isTable(2)) return args.textField(2, field)
  return args.has(2) && args.isText(2) ? args.string(2) : undefined
}

/** Under what an item of a series is kept. */
function itemKey(host: LibraryHost, { L, args, type }: Call & { readonly type: SeriesType }): string {
  const key = keyOption(args, 'key')
  if (type === 'string') {
    if (key === undefined || key.length > maxKey) throw args.refuse(2, 'a key expected')
    return key
  }
  const address = key === undefined ? clientOf(host, { L, args }) : normaliseAddress(key)
  if (address === undefined) throw args.refuse(2, 'an IP address expected')
  if (address.includes(':') !== (type === 'cidr_ipv6'))
    throw args.refuse(2, `the series holds ${type === 'cidr' ? 'IPv4' : 'IPv6'} addresses`)
  return address
}

/** `address`, `address/prefix`, or `/prefix` of the client; the client's address when there is none. */
function block(host: LibraryHost, given: string | undefined, call: Call): string {
  const text = given === undefined || given.startsWith('/') ? clientOf(host, call) + (given ?? '') : given
  if (parseCidr(text) === undefined)
    throw call.args.refuse(2, 'an address or a block such as 192.0.2.0/24 expected')
  return text
}

/** The client's address; an `ac` as argument means the same. */
function clientOf(host: LibraryHost, { L, args }: Call): string {
  if (args.has(2) && !args.isTable(2) && !args.isText(2) && host.kindOf(L, 2) !== 'ac')
    throw args.bad(2, 'address or ac')
  const address = host.current()?.session?.remote.address
  if (address === undefined) throw args.refuse(2, 'there is no client here: an address expected')
  return normaliseAddress(address) ?? '127.0.0.1'
}

/** A gate that is made up, for its page: what the console would tell of it, and what it is told to do. */

import type { DecisionOutcome, DecisionRecord } from '../../src/events/decision.ts'
import type { LiveSession } from '../../src/events/live.ts'

export interface World {
  readonly sessions: number
  /** what a client or a CA might call itself */
  readonly names: readonly string[]
  /** nothing has happened yet */
  readonly empty?: boolean
}
const START = Date.now()
const DAY = 86_400_000
const outcomes = ['verified', 'anonymous', 'unverified', 'failed'] as const
const causes = {
  verified: '',
  anonymous: '',
  unverified: 'expired',
  failed: 'peer did not return a certificate',
}
export function madeUp(world: World, orders: unknown[]): Record<string, unknown> {
  const { empty = false } = world
  const sessions = Array.from({ length: empty ? 0 : world.sessions }, (_, at) => session(at, world))
  const live = sessions.filter(({ tls }) => tls !== 'none').map((each, at) => decision(each, at, undefined))
  const ended = empty
    ? []
    : outcomes.flatMap((outcome) =>
        Array.from({ length: 40 }, (_, at) => decision(session(at * 4, world), at, outcome)),
      )
  const queues = empty ? [] : Array.from({ length: 60 }, (_, at) => queue(at, world))
  return {
    version: '0.1.0',
    pid: 4711,
    started: START - 3 * DAY,
    clock: Date.now,
    hostname: () => 'gate.example',
    counters: {
      since: START - 3 * DAY,
      counts: empty
        ? { delivered: 0, failed: 0, rejected: 0, received: 0 }
        : { delivered: 48_211, failed: 37, rejected: 1904, received: 48_655 },
      rates: empty ? { delivery: 0, reception: 0 } : { delivery: 3.21, reception: 3.4 },
      reset: () => undefined,
    },
    panics: { entries: empty ? [] : panics(world) },
    sessions: () => sessions,
    queue: {
      counts: { ready: queues.length, active: 12, delayed: 391, failed: 0, resident: 0, domains: 8 },
      ask: (topic: string, order: unknown) => Promise.resolve(asked(topic, order, { world, orders, queues })),
    },
    inside: { ask: () => Promise.resolve({ reports: processes(world), missing: [] }) },
    account: () => undefined,
    scripts: () => undefined,
    decisions: {
      live: () => live,
      ended: (outcome?: DecisionOutcome) =>
        ended.filter((each) => outcome === undefined || each.outcome === outcome),
      find: (id: string) => [...live, ...ended].find(({ connectionId }) => connectionId === id),
      shadow: () => shadow(world),
    },
    verdicts: (minutes = 1440) => verdicts(world, minutes),
    pins: () => (empty ? [] : pins(world)),
    serverOnly: () => (empty ? [] : serverOnly(world)),
    expiries: () => (empty ? [] : expiries(world)),
  }
}

function nameOf({ names }: World, at: number): string {
  return names[at % names.length] ?? 'x'
}

function session(at: number, world: World): LiveSession {
  const tls = (['verified', 'anonymous', 'unverified', 'none'] as const)[at % 4] ?? 'none'
  return {
    connectionId: `C${at}/01-4711-54E130B6`,
    remote: { address: `198.51.${Math.floor(at / 250) % 250}.${at % 250}`, port: 30_000 + (at % 30_000) },
    listen: at % 3 === 0 ? '127.0.0.1:2525' : '127.0.0.1:2526',
    since: START - ((at * 7919) % 4000) * 1000,
    state: at % 2 === 0 ? 'awaiting mailfrom' : 'awaiting rcptto',
    hello: at % 5 === 0 ? nameOf(world, at) : `mail${at}.partner.example`,
    tls,
    subject: tls === 'verified' || tls === 'unverified' ? `CN=${nameOf(world, at)},O=Partner ${at % 40}` : '',
    user: at % 9 === 0 ? nameOf(world, at + 1) : '',
    receptions: at % 6,
  }
}

function decision(of: LiveSession, at: number, ended: (typeof outcomes)[number] | undefined): DecisionRecord {
  const outcome = ended ?? (of.tls as 'verified' | 'anonymous' | 'unverified')
  const when = START - at * 37_000
  return {
    kind: 'decision',
    at: when,
    connectionId: ended === undefined ? of.connectionId : `E${at}/${outcome}`,
    remote: of.remote,
    local: { address: '127.0.0.1', port: 2525 },
    mode: 'require',
    modeFrom: 'gate.conf:7',
    scope: {
      id: 'x',
      listen: of.listen,
      peer: { network: '198.51.0.0/16', inside: 'listen' },
      pathway: 'default',
      pathwayGroup: '',
    },
    ca: { path: '/etc/postern/ca.pem', digest: 'ab'.repeat(32) },
    outcome,
    cause: causes[outcome],
    code: outcome === 'unverified' ? 'CERT_HAS_EXPIRED' : '',
    ...(of.subject === '' ? {} : { identity: identity(of.subject) }),
    ...(outcome === 'verified' && at % 2 === 0 ? { partner: 'Example Bank' } : {}),
    protocol: outcome === 'failed' ? '' : 'TLSv1.3',
    cipher: outcome === 'failed' ? '' : 'TLS_AES_256_GCM_SHA384',
    sni: '',
    resumed: false,
    changes: [],
    changesLeftOut: 0,
    answers:
      outcome === 'unverified'
        ? [
            {
              at: when,
              phase: 'mailfrom',
              answer: 'refuse',
              code: 550,
              text: '5.7.1 certificate expired',
              module: 'scriptlet',
              script: { name: 'policy', callout: 'validate_mailfrom', from: 'policy.lua:14' },
            },
          ]
        : [],
    answersLeftOut: 0,
    ...(ended === undefined
      ? {}
      : {
          end: {
            at: when + 900,
            how: outcome === 'failed' ? 'failed' : 'quit',
            accepted: 1,
            refused: at % 2,
          },
        }),
  }
}

function identity(subject: string): NonNullable<DecisionRecord['identity']> {
  return {
    subject,
    issuer: 'CN=Partner CA',
    serial: '1f',
    fingerprint: 'cd'.repeat(32),
    spki: 'ef'.repeat(32),
    sanDns: [subject],
    sanEmail: [],
    sanUri: [],
    sanIp: [],
    sansLeftOut: 0,
    notBefore: START - 300 * DAY,
    notAfter: START + 20 * DAY,
  }
}

function processes({ sessions }: World): unknown[] {
  return ['supervisor', 'worker 0', 'worker 1'].map((role, at) => ({
    role,
    pid: 4711 + at,
    uptime: 3 * DAY,
    user: 61_000,
    system: 9000,
    memory: (120 + at * 31) * 2 ** 20,
    sessions: at === 0 ? 0 : sessions / 2,
    received: at * 24_000,
    delivered: at * 24_000,
    restarts: 0,
  }))
}

function panics(world: World): unknown[] {
  const at = START - 3_600_000
  return [
    {
      kind: 'panic',
      at,
      level: 'error',
      module: 'scriptlet',
      text: `policy.lua:31: attempt to index a nil value (${nameOf(world, 0)})`,
    },
    {
      kind: 'panic',
      at: at - DAY,
      level: 'warning',
      module: 'tls',
      text: 'crl.pem has ended; the last good list stays in force',
    },
  ]
}

function queue(at: number, world: World): unknown {
  return {
    bindingGroup: 'default',
    binding: 'default',
    domain: at % 12 === 5 ? nameOf(world, at) : `domain${at}.example`,
    underWay: at % 3,
    ready: (at * 31) % 17,
    delayed: (at * 53) % 97,
    ending: 0,
    connections: at % 3,
    delivered: at,
  }
}

function asked(
  topic: string,
  order: unknown,
  {
    world,
    orders,
    queues,
  }: { readonly world: World; readonly orders: unknown[]; readonly queues: readonly unknown[] },
): { readonly reports: readonly unknown[]; readonly missing: readonly string[] } {
  const rows = Array.from({ length: 7 }, (_, at) => ({
    bindingGroup: 'default',
    binding: 'default',
    id: `00/0${at}-4711-54E130B6`,
    stand: at < 2 ? 'ready' : 'delayed',
    domain: 'domain0.example',
    sender: nameOf(world, at),
    recipient: `user${at}@domain0.example`,
    created: START - at * 60_000,
    size: 4096,
    attempts: at,
    nextAttempt: at < 2 ? undefined : START + at * 60_000,
    lastReply: at < 2 ? '' : '451 4.7.1 try again later',
  }))
  if (topic === 'domains') {
    const totals = { underWay: 0, ready: 0, delayed: 0, ending: 0, connections: 0, delivered: 0 }
    return { reports: [{ rows: queues, leftOut: 0, totals }], missing: [] }
  }
  if (topic === 'act') {
    orders.push(order)
    return {
      reports: [{ messages: 7, underWay: 1, rows, broken: undefined, incomplete: false }],
      missing: [],
    }
  }
  return { reports: [{ rows, messages: 7, incomplete: false }], missing: [] }
}

function shadow(world: World): unknown {
  const rows =
    world.empty === true
      ? []
      : Array.from({ length: 30 }, (_, at) => ({
          network: `198.51.${at}.0/24`,
          certificate:
            at % 3 === 0 ? 'none' : { subject: `CN=${nameOf(world, at)}`, issuer: 'CN=Partner CA' },
          verdict: at % 3 === 0 ? 'would-refuse' : at % 3 === 1 ? 'would-continue' : 'unknown',
          reason: at % 3 === 0 ? 'no-certificate' : 'unverified',
          cause: at % 3 === 0 ? '' : 'untrusted',
          count: 400 - at * 11,
          first: START - 5 * DAY,
          last: START - at * 60_000,
        }))
  return { rows, others: undefined, totals: { 'no-certificate': 3 } }
}

function verdicts(world: World, minutes: number): unknown {
  const until = Math.floor(Date.now() / 60_000)
  const issuers = { verified: 'CN=Partner CA', anonymous: '', unverified: nameOf(world, 1), failed: '' }
  const heights = { verified: 14, anonymous: 6, unverified: 3, failed: 2 }
  const series = outcomes.flatMap((outcome, index) =>
    ['127.0.0.1:2525', '127.0.0.1:2526'].map((listen, at) => ({
      outcome,
      listen,
      issuer: issuers[outcome],
      counts: Array.from({ length: minutes }, (_, minute) =>
        Math.round(heights[outcome] * (1 + Math.sin((minute + index * 40) / 37)) * (at + 1) * 0.5),
      ),
    })),
  )
  return { until, series: world.empty === true ? [] : series }
}

function pins(world: World): unknown[] {
  return [
    {
      partner: 'Example Bank',
      option: 'SPKI_Pin',
      place: 'current',
      digest: 'ab'.repeat(32),
      handshakes: 8121,
      firstSeen: START - 90 * DAY,
      lastSeen: START - 60_000,
      notAfter: START + 12 * DAY,
    },
    {
      partner: 'Example Bank',
      option: 'SPKI_Pin',
      place: 'successor',
      digest: 'cd'.repeat(32),
      handshakes: 0,
      firstSeen: undefined,
      lastSeen: undefined,
      notAfter: undefined,
    },
    {
      partner: nameOf(world, 0),
      option: 'Certificate_Pin',
      place: 'current',
      digest: 'ef'.repeat(32),
      handshakes: 3,
      firstSeen: START - DAY,
      lastSeen: START - DAY,
      notAfter: START + 200 * DAY,
    },
  ]
}

function serverOnly(world: World): unknown[] {
  return [
    {
      subject: `CN=${nameOf(world, 2)}`,
      issuer: 'CN=Public CA',
      fingerprint: '12'.repeat(32),
      partner: undefined,
      address: '198.51.100.7',
      handshakes: 44,
      firstSeen: START - DAY,
      lastSeen: START - 5000,
    },
  ]
}

function expiries(world: World): unknown[] {
  const what = ['server', 'ca', 'crl', 'client'] as const
  return [-2, 5, 12, 29, 88, 300].map((days, at) => ({
    what: what[at % 4],
    name: at === 3 ? `CN=${nameOf(world, 0)}` : `CN=certificate ${at}`,
    issuer: 'CN=Partner CA',
    fingerprint: `${at}`,
    source: at % 4 === 3 ? '' : `/etc/postern/file${at}.pem`,
    notBefore: START - 300 * DAY,
    notAfter: START + days * DAY,
    days,
    lastSeen: at % 4 === 3 ? START - 60_000 : undefined,
    renewed: false,
  }))
}

/** What the operators' page is given: the console's commands, logins, explanations, and somewhere to write down what was done. */

import { explainProcess } from '../cli/explain/command.ts'
import type { Settings } from '../config/settings.ts'
import type { ConsoleServerOptions } from '../console/server.ts'
import type { EventBus } from '../events/events.ts'
import { PageError } from '../web/page/http.ts'
import type { ExplainQuestion, PageHost } from '../web/page/page.ts'
import type { Material } from './console-door.ts'
import { PageLogins } from './page-logins.ts'

/** milliseconds for one explanation */
const EXPLAIN_MS = 12_000
const MAX_EXPLANATION = 4 * 1024 * 1024
/** explanations under way: each is a process */
const MAX_EXPLAINING = 2

interface PageParts extends Pick<ConsoleServerOptions, 'services' | 'servicesFor'> {
  readonly events: EventBus
  /** of the configuration in force */
  readonly material: () => Pick<Material, 'stores' | 'rights'>
}

export function pageHost({ services, servicesFor, events, material }: PageParts): PageHost {
  const logins = new PageLogins({ events, stores: () => material().stores })
  let explaining = 0
  return {
    gather: async (words) => (await servicesFor?.(words)) ?? { services, missing: [] },
    login: (attempt) => logins.attempt(attempt),
    stamp: (login) => logins.stamp(login),
    explain: async (question) => {
      if (explaining >= MAX_EXPLAINING)
        throw new PageError(503, 'Other explanations are under way. Try again in a while.')
      explaining += 1
      try {
        return await explainFor(services.settings(), question)
      } finally {
        explaining -= 1
      }
    },
    about: () => ({
      hostname: services.hostname(),
      version: services.version,
      listens: services.settings().listens.map(({ instance }) => instance),
    }),
    roleFor: async (authorization, user, command) => {
      const finding = await material().rights.judge(authorization, user, command)
      return finding.kind === 'allowed' ? finding.role : undefined
    },
    account: ({ act, place, address, port, user, good, command, role }) =>
      events.emit({
        kind: 'operator',
        at: Date.now(),
        act,
        listener: place,
        remote: { address, port },
        user: toBytes(user),
        good,
        command: toBytes(command),
        role,
      }),
    clock: Date.now,
  }
}

/** Text of events is a byte string. */
function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Of what lies on the disk now, in a process that may read and nothing else. @throws PageError */
async function explainFor(
  settings: Settings,
  { listen, peer, certificate }: ExplainQuestion,
): Promise<unknown> {
  if (/PRIVATE KEY/.test(certificate))
    throw new PageError(422, 'This holds a private key. No key is needed here; do not paste it anywhere.')
  const { code, stdout, stderr } = await collect(
    explainProcess({
      file: settings.file,
      terminal: false,
      options: {
        json: true,
        ...(listen === '' ? {} : { listen }),
        ...(peer === '' ? {} : { peer }),
        ...(certificate.trim() === '' ? {} : { pem: certificate }),
      },
    }),
  )
  if (code === 0) return JSON.parse(stdout) as unknown
  const reason = stderr.trim() === '' ? 'it took too long' : stderr.trim()
  throw new PageError(422, reason.slice(0, 4000))
}

interface Collected {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function collect(child: ReturnType<typeof explainProcess>): Promise<Collected> {
  const deadline = setTimeout(() => child.kill('SIGKILL'), EXPLAIN_MS)
  const texts: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8')
    child[name].on('data', (chunk: string) => {
      texts[name] += chunk
      if (texts[name].length > MAX_EXPLANATION) child.kill('SIGKILL')
    })
  }
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject)
  child.once('close', resolve)
  try {
    return { code: await promise, ...texts }
  } finally {
    clearTimeout(deadline)
  }
}

/**
 * The operators' page in front of a gate that is made up: as many sessions, and as hostile names, as a test wants. Everything
 * from the console's commands on is the real thing.
 */

import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { viewOf } from '../../src/config/live/view.ts'
import { loadSettings } from '../../src/config/load.ts'
import { recording } from '../../src/config/recorded-files.ts'
import type { ConsoleServices } from '../../src/console/services.ts'
import { EventBus, type ServerEvent } from '../../src/events/events.ts'
import { OperatorGroups } from '../../src/operator/groups.ts'
import { pageHost } from '../../src/operator/page-host.ts'
import { Rights } from '../../src/operator/rights.ts'
import { Datasources } from '../../src/policy/datasource/datasource.ts'
import { CredentialStores } from '../../src/smtp/auth/stores.ts'
import { writePki } from '../../src/tls/pki.ts'
import { OperatorPage } from '../../src/web/page/page.ts'
import { WebServer } from '../../src/web/server.ts'
import { testPki } from '../support/test-ca.ts'
import { madeUp, type World } from './made-up.ts'

export const CONF = `ESMTP_Listener {
  TLS_Certificate = "server.pem"
  TLS_Key = "server.key"
  TLS_Client_CA = "ca.pem"
  Listen "127.0.0.1:2525" { Use_SSL = true
    TLS_Verify_Mode = "require"
    Peer "10.0.0.0/8" { TLS_Verify_Mode = "none" Idle_Time = 60 }
  }
  Listen "127.0.0.1:2526" { Banner_Hostname = "mx.example" }
}
`

export const HOSTILE = [
  '<img src=x onerror="document.title=\'taken\'">',
  '"><script>document.title="taken"</script>',
  '\u202egpj.exe\u2066\u0007\u001b[2J',
  'javascript:document.title=1',
  `CN=${'very-long-name-'.repeat(40)}`,
  '\u00e2\u0080\u00ae\u00f0\u009f\u0098\u0080 \\"%00',
]

export interface PageGate {
  /** `http://127.0.0.1:…` */
  readonly url: string
  readonly events: readonly ServerEvent[]
  readonly orders: readonly {
    readonly act: { readonly kind: string; readonly quiet?: boolean }
    readonly dryRun: boolean
  }[]
  stop(): Promise<void>
}

export async function startPageGate(world: World): Promise<PageGate> {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-page-'))
  writeFileSync(path.join(folder, 'users'), 'alice:secret\nbob:secret\n')
  const file = path.join(folder, 'gate.conf')
  writeFileSync(file, `Hostname = "gate.example"\n${CONF}`)
  await writePki(folder, await testPki())
  const { files, record } = recording()
  const { settings } = await loadSettings(file, files)
  if (settings === undefined) throw new Error('the configuration of the test is wrong')
  const events: ServerEvent[] = []
  const bus = new EventBus(() => undefined)
  bus.subscribe((event) => void events.push(event))
  const orders: {
    readonly act: { readonly kind: string; readonly quiet?: boolean }
    readonly dryRun: boolean
  }[] = []
  const services = {
    ...madeUp(world, orders),
    settings: () => settings,
    configuration: { viewInForce: () => viewOf(file, record) },
  } as unknown as ConsoleServices
  const failures: string[] = []
  const groups = new OperatorGroups({ groupSchemes: [] }, new Datasources([]))
  const rights = new Rights({ roles: [], groups, alarm: (text) => failures.push(text) })
  const stores = new CredentialStores()
  const material = () => ({ stores, rights })
  const page = new OperatorPage(pageHost({ services, servicesFor: undefined, events: bus, material }))
  const web = new WebServer({ pages: new Map(), page: () => page, onError: (text) => failures.push(text) })
  const terms = {
    users: { uri: `file://${folder}/users` },
    operators: ['alice'],
    authorization: undefined,
  }
  const listener = createServer({ pauseOnConnect: true }, (socket: Socket) =>
    web.take(socket, {
      visitor: { kind: 'anybody' },
      byCertificate: false,
      names: new Set(),
      scripts: false,
      page: terms,
      remote: { address: '127.0.0.1', port: socket.remotePort ?? 0 },
      secure: false,
      localPort: socket.localPort ?? 0,
      place: 'test',
    }),
  ).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as { readonly port: number }
  return {
    url: `http://127.0.0.1:${port}`,
    events,
    orders,
    stop: async () => {
      web.end()
      listener.close()
      await once(listener, 'close')
      rmSync(folder, { recursive: true, force: true })
      if (failures.length > 0) throw new Error(failures.join('\n'))
    },
  }
}

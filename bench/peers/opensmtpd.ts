/**
 * OpenSMTPD from Debian 13 (that of Debian 12 cannot serve TLS with OpenSSL 3), deliveries paused. It does not sync before
 * its 250. Its listeners have a backlog of five, so few connect at once, and what is left hanging is counted.
 */

import { generateKeyPairSync } from 'node:crypto'
import { freePorts, greets } from '../../test/mta/mta.ts'
import type { Peer } from '../rows/row.ts'
import { pidsInRoot } from '../support/processes.ts'
import { makeRoot, stopper } from './debian-peer.ts'
import type { PeerRequest } from './request.ts'

/** the names are compiled in */
const OWNER = { name: 'opensmtpd', id: 64_104 }
const QUEUE = { name: 'opensmtpq', id: 64_105 }
const LIBRARIES = [
  'zlib1g',
  'libssl3t64',
  'libzstd1',
  'libdb5.3t64',
  'libevent-2.1-7t64',
  'libpam0g',
  'libaudit1',
  'libcap-ng0',
]
const AT_ONCE = 4

export async function startOpenSmtpd({ cleanup, pki }: PeerRequest): Promise<readonly Peer[]> {
  const root = makeRoot(
    { package: 'opensmtpd', release: 'trixie', libraries: LIBRARIES, accounts: [OWNER, QUEUE] },
    cleanup,
  )
  const owner = { user: 0, group: 0 }
  root.directory('var/spool/smtpd', 0o711, owner)
  for (const folder of ['var/lib/opensmtpd/empty', 'var/empty', 'var/run', 'run']) {
    root.directory(folder, 0o755, owner)
  }
  root.write('etc/ssl/certs/ca-certificates.crt', pki.authority.cert)
  root.write('pki/ca.pem', pki.authority.cert)
  // it cannot use another kind of key with OpenSSL 3
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const altNames = [{ kind: 'dns', value: 'gate.example' }] as const
  root.write(
    'pki/server.pem',
    pki.authority.issue({ subject: 'gate.example', usage: 'server', altNames, key }).cert,
  )
  root.write('pki/server.key', key, 0o600)
  const [port = 0, secure = 0] = await freePorts(2)
  root.write(
    'etc/smtpd.conf',
    `pki gate cert "/pki/server.pem"
pki gate key "/pki/server.key"
ca gate cert "/pki/ca.pem"
listen on 127.0.0.1 port ${port} hostname gate.example
listen on 127.0.0.1 port ${secure} hostname gate.example tls-require verify pki gate ca gate
action "out" relay
match from any for any action "out"
`,
  )
  const program = root.start('/usr/sbin/smtpd', '-d', '-P', 'mta')
  await greets(program, port)
  return [
    {
      subject: {
        name: 'opensmtpd',
        host: '127.0.0.1',
        port,
        pids: () => pidsInRoot(root.folder),
        stop: stopper(root, program),
      },
      version: root.version,
      durable: false,
      messages: { starttls: 400, 'plain-1': 1000, 'plain-20': 2000 },
      warmUp: { starttls: 200, 'plain-1': 200, 'plain-20': 200 },
      connections: AT_ONCE,
      ports: { starttls: secure },
      tolerant: true,
    },
  ]
}

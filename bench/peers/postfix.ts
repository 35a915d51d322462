/**
 * Debian's Postfix. `postfix-hold` keeps mail in its hold queue: it accepts and syncs, and that is all. `postfix` passes it
 * through the queue manager to discard(8), with in_flow_delay as it is by default.
 */

import type { DebianRoot } from '../../test/mta/debian-root.ts'
import { freePorts, greets } from '../../test/mta/mta.ts'
import { SERVICES } from '../../test/mta/postfix-services.ts'
import type { Peer } from '../rows/row.ts'
import { pidsInRoot } from '../support/processes.ts'
import { makeRoot, stopper } from './debian-peer.ts'
import type { PeerRequest } from './request.ts'

const OWNER = { name: 'postfix', id: 64_101 }
const DROP = { name: 'postdrop', id: 64_102 }
const LIBRARIES = `
  libdb5.3 libnsl2 libtirpc3 libicu72 libstdc++6 libssl3 libsasl2-2 libgssapi-krb5-2 libkrb5-3
  libk5crypto3 libcom-err2 libkrb5support0 libkeyutils1
`
const MESSAGES = { starttls: 500, 'plain-1': 1500, 'plain-20': 2000 }

export async function startPostfix({ cleanup, pki }: PeerRequest): Promise<readonly Peer[]> {
  const root = makeRoot(
    { package: 'postfix', libraries: LIBRARIES.trim().split(/\s+/), accounts: [OWNER, DROP] },
    cleanup,
  )
  makeFolders(root)
  root.write('pki/ca.pem', pki.authority.cert)
  root.write('pki/server.pem', `${pki.server.key}\n${pki.server.cert}`, 0o600)
  const [hold = 0, through = 0] = await freePorts(2)
  root.write('etc/postfix/main.cf', mainCf())
  root.write('etc/postfix/master.cf', masterCf(hold, through))
  const program = root.start('/usr/lib/postfix/sbin/master', '-d')
  await greets(program, hold)
  const peer = (name: string, port: number): Peer => ({
    subject: {
      name,
      host: '127.0.0.1',
      port,
      pids: () => pidsInRoot(root.folder),
      stop: stopper(root, program),
    },
    version: root.version,
    durable: true,
    messages: MESSAGES,
    warmUp: { starttls: 300, 'plain-1': 300, 'plain-20': 300 },
  })
  return [peer('postfix-hold', hold), peer('postfix', through)]
}

/** What `postfix set-permissions` makes. */
function makeFolders(root: DebianRoot): void {
  const owner = { user: OWNER.id, group: 0 }
  root.directory('var/spool/postfix', 0o755, { user: 0, group: 0 })
  root.directory('var/spool/postfix/pid', 0o755, { user: 0, group: 0 })
  root.directory('var/lib/postfix', 0o700, owner)
  root.directory('var/log', 0o755, { user: 0, group: 0 })
  for (const name of ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming']) {
    root.directory(`var/spool/postfix/${name}`, 0o700, owner)
  }
  for (const name of ['private', 'saved', 'trace']) root.directory(`var/spool/postfix/${name}`, 0o700, owner)
  root.directory('var/spool/postfix/maildrop', 0o1730, { user: OWNER.id, group: DROP.id })
  root.directory('var/spool/postfix/public', 0o2710, { user: OWNER.id, group: DROP.id })
}

function mainCf(): string {
  return `compatibility_level = 3.6
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
shlib_directory = /usr/lib/postfix
mail_owner = ${OWNER.name}
setgid_group = ${DROP.name}
maillog_file = /var/log/postfix.log
myhostname = gate.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
default_transport = discard:bench
relay_transport = discard:bench
smtpd_tls_security_level = may
smtpd_tls_ask_ccert = yes
smtpd_tls_chain_files = /pki/server.pem
smtpd_tls_CAfile = /pki/ca.pem
`
}

function masterCf(hold: number, through: number): string {
  return `127.0.0.1:${hold} inet n - n - - smtpd
  -o { smtpd_sender_restrictions = check_sender_access static:HOLD }
127.0.0.1:${through} inet n - n - - smtpd
${SERVICES}`
}

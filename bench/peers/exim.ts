/**
 * Debian's Exim (exim4-daemon-light, with GnuTLS) with `queue_only`: it accepts and syncs. In the clear it answers QUIT only after
 * up to 200 ms, in which it waits for the client to close; so nobody waits for that reply.
 */

import { freePorts, greets } from '../../test/mta/mta.ts'
import type { Peer } from '../rows/row.ts'
import { pidsInRoot } from '../support/processes.ts'
import { makeRoot, stopper } from './debian-peer.ts'
import type { PeerRequest } from './request.ts'

/** the name is compiled in */
const OWNER = { name: 'Debian-exim', id: 64_103 }
const LIBRARIES = `
  libgnutls30 libgnutls-dane0 libpcre2-8-0 libidn12 libidn2-0 libp11-kit0 libunistring2 libtasn1-6
  libnettle8 libhogweed6 libgmp10 libunbound8 libffi8 libgssapi-krb5-2 libkrb5-3 libk5crypto3
  libcom-err2 libkrb5support0 libkeyutils1 libssl3 libdb5.3 libnsl2 libtirpc3 libevent-2.1-7
`

export async function startExim({ cleanup, pki }: PeerRequest): Promise<readonly Peer[]> {
  const root = makeRoot(
    { package: 'exim4-daemon-light', libraries: LIBRARIES.trim().split(/\s+/), accounts: [OWNER] },
    cleanup,
  )
  const owner = { user: OWNER.id, group: OWNER.id }
  for (const folder of ['var/spool/exim4', 'var/log/exim4']) root.directory(folder, 0o750, owner)
  root.directory('run', 0o755, { user: 0, group: 0 })
  root.write('pki/ca.pem', pki.authority.cert)
  root.write('pki/server.pem', pki.server.cert)
  // nothing that is of worth
  root.write('pki/server.key', pki.server.key, 0o644)
  const [port = 0] = await freePorts(1)
  root.write('etc/exim4/exim4.conf', configuration(port))
  const program = root.start('/usr/sbin/exim4', '-bdf')
  await greets(program, port)
  return [
    {
      subject: {
        name: 'exim-queue',
        host: '127.0.0.1',
        port,
        pids: () => pidsInRoot(root.folder),
        stop: stopper(root, program),
      },
      version: root.version,
      durable: true,
      messages: { starttls: 500, 'plain-1': 1000, 'plain-20': 2000 },
      warmUp: { starttls: 200, 'plain-1': 200, 'plain-20': 200 },
      awaitQuit: false,
    },
  ]
}

function configuration(port: number): string {
  return `primary_hostname = gate.example
log_file_path = /var/log/exim4/%slog
spool_directory = /var/spool/exim4
split_spool_directory = true
queue_only = true
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
smtp_accept_max = 2000
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 500
notifier_socket =
tls_advertise_hosts = *
tls_certificate = /pki/server.pem
tls_privatekey = /pki/server.key
tls_verify_certificates = /pki/ca.pem
tls_try_verify_hosts = *
acl_smtp_rcpt = everybody
acl_smtp_data = everything

begin acl
everybody:
  accept
everything:
  accept

begin routers
nowhere:
  driver = redirect
  data = :blackhole:
`
}

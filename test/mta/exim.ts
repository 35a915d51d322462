/** Debian's Exim (exim4-daemon-light, with GnuTLS) in a root of its own. */

import type { Pki } from '../../src/tls/pki.ts'
import { type Account, DebianRoot, MAILBOX_OWNER, type RunningProgram } from './debian-root.ts'
import { CREDENTIALS, GATES, greets, type Mta, type MtaRequest, writeCertificates } from './mta.ts'

/** the name is compiled in */
const OWNER: Account = { name: 'Debian-exim', id: 64_103 }
const LIBRARIES = `
  libgnutls30 libgnutls-dane0 libpcre2-8-0 libidn12 libidn2-0 libp11-kit0 libunistring2 libtasn1-6
  libnettle8 libhogweed6 libgmp10 libunbound8 libffi8 libgssapi-krb5-2 libkrb5-3 libk5crypto3
  libcom-err2 libkrb5support0 libkeyutils1 libssl3 libdb5.3 libnsl2 libtirpc3 libevent-2.1-7
`
const LOG = 'var/log/exim4/mainlog'

export function makeExim(request: MtaRequest, pki: Pki): Mta {
  const root = DebianRoot.make({
    package: 'exim4-daemon-light',
    libraries: LIBRARIES.trim().split(/\s+/),
    accounts: [OWNER],
  })
  writeCertificates(root, pki, OWNER.id)
  for (const folder of ['var/spool/exim4', 'var/log/exim4'])
    root.directory(folder, 0o750, { user: OWNER.id, group: OWNER.id })
  root.directory('run', 0o755, { user: 0, group: 0 })
  root.write('etc/exim4/exim4.conf', configuration(request))
  let program: RunningProgram | undefined
  return {
    name: 'Exim',
    root,
    ports: request.ports,
    log: () => root.read(LOG) + root.read('var/log/exim4/paniclog'),
    start: async () => {
      program = root.start('/usr/sbin/exim4', '-bdf', '-q1s')
      await greets(program, request.ports.mail)
    },
    stop: async (signal) => program?.stop(signal),
    flush: () => {
      root.run('/usr/sbin/exim4', '-qff')
    },
  }
}

/** Without a notifier's socket, whose name all of a machine share, and with room for those who connect at once. */
function configuration({ ports, gates, greylist }: MtaRequest): string {
  const routers = CREDENTIALS.flatMap((credential) =>
    GATES.map(
      (mode) => `to_${credential}_${mode}:
  driver = manualroute
  domains = ${credential}-${mode}.out.test
  transport = send_${credential}_${mode}
  route_data = 127.0.0.1
  self = send
  no_more
`,
    ),
  )
  const transports = CREDENTIALS.flatMap((credential) =>
    GATES.map(
      (mode) => `send_${credential}_${mode}:
  driver = smtp
  port = ${gates[mode]}
  allow_localhost
  hosts_require_tls = *
  tls_verify_certificates = /pki/ca.pem
${credential === 'valid' ? '  tls_resumption_hosts = *\n' : ''}${credential === 'none' ? '' : `  tls_certificate = /pki/${credential}.pem\n  tls_privatekey = /pki/${credential}.key\n`}`,
    ),
  )
  return `primary_hostname = mta.test
log_file_path = /var/log/exim4/%slog
log_selector = +tls_certificate_verified +tls_peerdn +tls_cipher +received_recipients +smtp_protocol_error
spool_directory = /var/spool/exim4
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${ports.mail} : ${ports.expired} : ${ports.demanding}
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
message_size_limit = 40M
smtp_accept_max = 100
smtp_connect_backlog = 100
notifier_socket =
check_spool_space = 0
check_log_space = 0
tls_advertise_hosts = *
tls_certificate = /pki/\${if eq{$received_port}{${ports.expired}}{old}{good}}.pem
tls_privatekey = /pki/\${if eq{$received_port}{${ports.expired}}{old}{good}}.key
tls_verify_certificates = /pki/ca.pem
tls_verify_hosts = \${if eq{$received_port}{${ports.demanding}}{*}{}}
acl_smtp_mail = from
acl_smtp_rcpt = to
acl_smtp_data = content

begin acl
from:
  deny senders = refused@sender.test
       message = 5.7.1 not from you
  deny condition = \${if and{{eq{$received_port}{${ports.demanding}}}{!eq{$tls_in_certificate_verified}{1}}}}
       message = 5.7.1 a certificate is needed
  accept
to:
  deny local_parts = ^nobody
       message = 5.1.1 no such user
  defer condition = \${if eq{no}{\${readsocket{inet:127.0.0.1:${greylist}}{$local_part@$domain\\n}}}}
       message = 4.7.1 greylisted
  accept
content:
  deny senders = late@sender.test
       message = 5.7.1 not this
  accept

begin routers
${routers.join('')}
mailbox:
  driver = accept
  transport = maildir

begin transports
${transports.join('')}
maildir:
  driver = appendfile
  directory = /mail/all
  maildir_format
  create_directory
  user = ${MAILBOX_OWNER.id}
  group = ${MAILBOX_OWNER.id}
  envelope_to_add
  return_path_add

begin retry
* * F,1h,1s

begin rewrite

begin authenticators
`
}

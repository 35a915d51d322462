/** Debian's Postfix in a root of its own. */

import type { Pki } from '../../src/tls/pki.ts'
import { type Account, DebianRoot, MAILBOX_OWNER, type RunningProgram } from './debian-root.ts'
import { CREDENTIALS, GATES, greets, type Mta, type MtaRequest, writeCertificates } from './mta.ts'
import { SERVICES } from './postfix-services.ts'

const OWNER: Account = { name: 'postfix', id: 64_101 }
const DROP: Account = { name: 'postdrop', id: 64_102 }
const LIBRARIES = `
  libdb5.3 libnsl2 libtirpc3 libicu72 libstdc++6 libssl3 libsasl2-2 libgssapi-krb5-2 libkrb5-3
  libk5crypto3 libcom-err2 libkrb5support0 libkeyutils1
`
const LOG = 'var/log/postfix.log'

export function makePostfix(request: MtaRequest, pki: Pki): Mta {
  const root = DebianRoot.make({
    package: 'postfix',
    libraries: LIBRARIES.trim().split(/\s+/),
    accounts: [OWNER, DROP],
  })
  writeCertificates(root, pki)
  makeFolders(root)
  root.write('etc/postfix/main.cf', mainCf(request))
  root.write('etc/postfix/master.cf', masterCf(request))
  root.write('etc/postfix/domains', 'if !/\\.out\\.test$/\n/\\.test$/ yes\nendif\n')
  root.write('etc/postfix/users', 'if !/^nobody/\n/./ all/\nendif\n')
  root.write('etc/postfix/transport', transports(request))
  let program: RunningProgram | undefined
  return {
    name: 'Postfix',
    root,
    ports: request.ports,
    log: () => root.read(LOG),
    start: async () => {
      program = root.start('/usr/lib/postfix/sbin/master', '-d')
      await greets(program, request.ports.mail)
    },
    stop: async (signal) => program?.stop(signal),
    flush: () => {
      root.run('/usr/sbin/postqueue', '-f')
    },
  }
}

/** What `postfix set-permissions` makes. */
function makeFolders(root: DebianRoot): void {
  const owner = { user: OWNER.id, group: 0 }
  root.directory('var/spool/postfix', 0o755, { user: 0, group: 0 })
  root.directory('var/spool/postfix/pid', 0o755, { user: 0, group: 0 })
  root.directory('var/lib/postfix', 0o700, owner)
  root.directory('var/log', 0o755, { user: 0, group: 0 })
  for (const name of ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming'])
    root.directory(`var/spool/postfix/${name}`, 0o700, owner)
  for (const name of ['private', 'saved', 'trace']) root.directory(`var/spool/postfix/${name}`, 0o700, owner)
  root.directory('var/spool/postfix/maildrop', 0o1730, { user: OWNER.id, group: DROP.id })
  root.directory('var/spool/postfix/public', 0o2710, { user: OWNER.id, group: DROP.id })
}

function mainCf({ greylist }: MtaRequest): string {
  return `compatibility_level = 3.6
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
shlib_directory = /usr/lib/postfix
mail_owner = ${OWNER.name}
setgid_group = ${DROP.name}
maillog_file = /${LOG}
myhostname = mta.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_delay_reject = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_sender_restrictions = check_sender_access inline:{ { refused@sender.test = 550 5.7.1 not from you } }
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:${greylist}, permit
smtpd_end_of_data_restrictions = check_sender_access inline:{ { late@sender.test = 554 5.7.1 not this } }
virtual_mailbox_domains = regexp:/etc/postfix/domains
virtual_mailbox_maps = regexp:/etc/postfix/users
virtual_mailbox_base = /mail
virtual_uid_maps = static:${MAILBOX_OWNER.id}
virtual_gid_maps = static:${MAILBOX_OWNER.id}
virtual_mailbox_limit = 0
transport_maps = regexp:/etc/postfix/transport
message_size_limit = 40000000
smtpd_tls_security_level = may
smtpd_tls_cert_file = /pki/good.pem
smtpd_tls_key_file = /pki/good.key
smtpd_tls_CAfile = /pki/ca.pem
smtpd_tls_loglevel = 1
smtp_tls_security_level = encrypt
smtp_tls_CAfile = /pki/ca.pem
smtp_tls_loglevel = 1
smtp_tls_session_cache_database = btree:/var/lib/postfix/smtp_scache
smtp_connection_cache_on_demand = no
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
`
}

function masterCf({ ports }: MtaRequest): string {
  return `${smtpd(ports.mail)}
${smtpd(ports.expired, 'smtpd_tls_cert_file=/pki/old.pem', 'smtpd_tls_key_file=/pki/old.key')}
${smtpd(ports.demanding, 'smtpd_tls_security_level=encrypt', 'smtpd_tls_req_ccert=yes')}
virtual unix - n n - - virtual
${SERVICES}${CREDENTIALS.map(client).join('\n')}
`
}

function smtpd(port: number, ...options: readonly string[]): string {
  return [`127.0.0.1:${port} inet n - n - - smtpd`, ...options.map((each) => `  -o ${each}`)].join('\n')
}

function client(credential: string): string {
  const service = `send-${credential} unix - - n - - smtp`
  if (credential === 'none') return service
  return `${service}
  -o smtp_tls_cert_file=/pki/${credential}.pem
  -o smtp_tls_key_file=/pki/${credential}.key`
}

function transports({ gates }: MtaRequest): string {
  return CREDENTIALS.flatMap((credential) =>
    GATES.map(
      (mode) => `/@${credential}-${mode}\\.out\\.test$/ send-${credential}:[127.0.0.1]:${gates[mode]}\n`,
    ),
  ).join('')
}

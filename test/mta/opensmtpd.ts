/** Debian's OpenSMTPD in a root of its own. */

import type { Pki } from '../../src/tls/pki.ts'
import { type Account, DebianRoot, MAILBOX_OWNER, type RunningProgram } from './debian-root.ts'
import { CREDENTIALS, GATES, greets, type Mta, type MtaRequest, writeCertificates } from './mta.ts'

/** the names are compiled in */
const OWNER: Account = { name: 'opensmtpd', id: 64_104 }
const QUEUE: Account = { name: 'opensmtpq', id: 64_105 }
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

/**
 * Its listeners have a backlog of 5 (SMTPD_BACKLOG), which no option changes. When more connect in one moment the system
 * answers with SYN cookies, and drops the handshakes that find no place: they look like connections from the outside,
 * and no banner ever comes. So these are the proxies' together, and those for each domain.
 */
const AT_ONCE = 3

/** a filter as smtpd-filters(7) has it: refuses some recipients, and others the first time */
const FILTER = `#!/bin/sh
while IFS='|' read -r kind version time layer phase session token recipient; do
  case "$kind|$version" in
  'config|ready') printf 'register|filter|smtp-in|rcpt-to\\nregister|ready\\n' ;;
  filter*)
    verdict=proceed
    case "$recipient" in
    nobody*) verdict='reject|550 5.1.1 no such user' ;;
    grey*) [ -e "/grey/$recipient" ] || { : > "/grey/$recipient"; verdict='reject|450 4.7.1 greylisted'; } ;;
    esac
    printf 'filter-result|%s|%s|%s\\n' "$session" "$token" "$verdict" ;;
  esac
done
`

export function makeOpenSmtpd(request: MtaRequest, pki: Pki): Mta {
  const root = DebianRoot.make({
    package: 'opensmtpd',
    // that of bookworm, 6.8.0p2, cannot serve TLS with OpenSSL 3
    release: 'trixie',
    libraries: LIBRARIES,
    accounts: [OWNER, QUEUE],
  })
  writeCertificates(root, pki)
  const owner = { user: 0, group: 0 }
  root.directory('var/spool/smtpd', 0o711, owner)
  root.directory('var/lib/opensmtpd/empty', 0o755, owner)
  root.directory('var/empty', 0o755, owner)
  root.directory('var/run', 0o755, owner)
  root.directory('run', 0o755, owner)
  root.directory('grey', 0o755, { user: OWNER.id, group: OWNER.id })
  // it does not start without; nobody is verified by it
  root.write('etc/ssl/certs/ca-certificates.crt', pki.authority.cert)
  root.write('etc/filter', FILTER, 0o755)
  root.write('etc/smtpd.conf', configuration(request))
  const programs: RunningProgram[] = []
  return {
    name: 'OpenSMTPD',
    root,
    ports: request.ports,
    atOnce: AT_ONCE,
    log: () => programs.map((program) => program.output()).join(''),
    start: async () => {
      const program = root.start('/usr/sbin/smtpd', '-d')
      programs.push(program)
      await greets(program, request.ports.mail)
    },
    stop: async (signal) => programs.at(-1)?.stop(signal),
    flush: () => {
      root.run('/usr/sbin/smtpctl', 'schedule', 'all')
    },
  }
}

function configuration({ ports, gates }: MtaRequest): string {
  const names = ['good', 'old', ...CREDENTIALS.filter((credential) => credential !== 'none')]
  const pkis = names.map(
    (name) => `pki ${name} cert "/pki/${name}.pem"\npki ${name} key "/pki/${name}.key"\n`,
  )
  const routes = CREDENTIALS.flatMap((credential) =>
    GATES.map((mode) => {
      const route = `${credential}-${mode}`
      const certificate = credential === 'none' ? '' : ` pki ${credential}`
      return {
        action: `action "${route}" relay host "smtp+tls://127.0.0.1:${gates[mode]}"${certificate}\n`,
        match: `match from any for domain "${route}.out.test" action "${route}"\n`,
      }
    }),
  )
  // otherwise it holds idle connections to one host against new ones to other ports of it
  const limits = ['conn-delay-route 0', 'reconn-delay-route 0', 'session-keepalive 0']
  const most = ['host', 'route', 'source'].map((each) => `max-conn-per-${each} 100`)
  return `${[...limits, ...most].map((limit) => `mta limit ${limit}\n`).join('')}${pkis.join('')}ca clients cert "/pki/ca.pem"
table refused { "refused@sender.test" }
table late { "late@sender.test" }
table users { "@" = "${MAILBOX_OWNER.name}" }
filter refused phase mail-from match mail-from <refused> reject "550 5.7.1 not from you"
filter late phase commit match mail-from <late> reject "554 5.7.1 not this"
filter recipients proc-exec "/etc/filter" user ${OWNER.name} group ${OWNER.name}
filter all chain { refused, late, recipients }
listen on 127.0.0.1 port ${ports.mail} hostname mta.test tls pki good filter all
listen on 127.0.0.1 port ${ports.expired} hostname mta.test tls pki old filter all
listen on 127.0.0.1 port ${ports.demanding} hostname mta.test tls-require verify pki good ca clients filter all
action "mailbox" maildir "/mail/all" virtual <users>
${routes.map(({ action }) => action).join('')}${routes.map(({ match }) => match).join('')}match from any for any action "mailbox"
`
}

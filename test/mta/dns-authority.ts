/**
 * Debian's NSD as the authority for signed and unsigned zones, and Debian's Unbound as the validating resolver in front.
 *
 * `test.` is signed, and its key is the only one that the resolver trusts. Each zone below it has a key of its own and
 * its DS record there, but for those that are not signed at all. Both listen on ports of loopback and send from it
 * alone, so that no question leaves the machine. Signing is done by the tools of ldns.
 */

import { readdirSync } from 'node:fs'
import { fixedServers } from '../../src/dns/name-servers.ts'
import { DnsError, StubResolver } from '../../src/dns/stub-resolver.ts'
import { type Account, DebianRoot, type RunningProgram } from './debian-root.ts'

/** A zone below `test.`. */
export interface ZoneFile {
  /** `signed.test` */
  readonly name: string
  /** lines of a master file, without SOA and NS; names are relative to the zone */
  readonly records: string
  /** `unsigned`: the zone above it proves that there is no DS; `expired`: yesterday's signatures */
  readonly signatures: 'good' | 'expired' | 'unsigned'
  /** changes what has been signed, line by line */
  readonly tamper?: (line: string) => string
}

export interface DnsServers {
  readonly authority: { readonly address: string; readonly port: number }
  readonly validating: { readonly address: string; readonly port: number }
  /** what both have said */
  log(): string
  close(): Promise<void>
}

const OWNER: Account = { name: 'dns', id: 64_110 }
const LIBRARIES = `
  nsd ldnsutils libldns3 libpcap0.8 libssl3 libevent-2.1-7 libnghttp2-14 libprotobuf-c1 libfstrm0 libpython3.11
  libexpat1 zlib1g libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1
`
const ZONES = 'etc/zones'
const PARENT = 'test'

/** What they are made from. */
export interface DnsRequest {
  readonly zones: readonly ZoneFile[]
  readonly ports: { readonly authority: number; readonly validating: number }
}

/** @throws Error with what they said, when one of them does not start */
export async function startDns({ zones, ports }: DnsRequest): Promise<DnsServers> {
  const root = DebianRoot.make({
    package: 'unbound',
    libraries: LIBRARIES.trim().split(/\s+/),
    accounts: [OWNER],
  })
  const programs: RunningProgram[] = []
  const close = async (): Promise<void> => {
    for (const program of programs) await program.stop()
    root.remove()
  }
  try {
    const { authority: authorityPort, validating: port } = ports
    const anchor = writeZones(root, zones)
    const names = [PARENT, ...zones.map(({ name }) => name)]
    for (const folder of ['run', 'var/nsd'])
      root.directory(folder, 0o755, { user: OWNER.id, group: OWNER.id })
    root.write('etc/nsd.conf', authorityConf(names, authorityPort))
    root.write('etc/unbound.conf', validatingConf(names, { port, authorityPort, anchor }))
    programs.push(root.start('/usr/sbin/nsd', '-d', '-c', '/etc/nsd.conf'))
    programs.push(root.start('/usr/sbin/unbound', '-d', '-c', '/etc/unbound.conf'))
    const log = (): string => programs.map((program) => program.output()).join('')
    await answers(port, log)
    const address = '127.0.0.1'
    return { authority: { address, port: authorityPort }, validating: { address, port }, log, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** @returns the key that everything rests on, as a DNSKEY record */
function writeZones(root: DebianRoot, zones: readonly ZoneFile[]): string {
  const delegations = zones.map((zone) => {
    root.write(`${ZONES}/${zone.name}.zone`, masterFile(zone.name, zone.records))
    const ds = zone.signatures === 'unsigned' ? '' : sign(root, zone)
    return `${zone.name}. 300 IN NS ns.test.\n${ds}`
  })
  root.write(`${ZONES}/${PARENT}.zone`, masterFile(PARENT, `ns A 127.0.0.1\n${delegations.join('')}`))
  sign(root, { name: PARENT, signatures: 'good' })
  const [key = ''] = readdirSync(root.outside(ZONES)).filter((file) => /^Ktest\..*\.key$/.test(file))
  return root.read(`${ZONES}/${key}`).split(';')[0]?.trim() ?? ''
}

function masterFile(name: string, records: string): string {
  return `$ORIGIN ${name}.
$TTL 300
@ SOA ns.test. root.test. 1 3600 900 604800 60
@ NS ns.test.
${records}
`
}

/** Signs the file of a zone with a new key. @returns the DS record of the key */
function sign(root: DebianRoot, zone: Pick<ZoneFile, 'name' | 'signatures' | 'tamper'>): string {
  const { name, tamper } = zone
  const inZones = (command: string): string => root.run('/bin/sh', '-c', `cd /${ZONES} && ${command}`)
  const key = inZones(`ldns-keygen -a ECDSAP256SHA256 -k -r /dev/urandom ${name}`).trim()
  const dates = zone.signatures === 'expired' ? `-i ${dayAgo(3)} -e ${dayAgo(1)}` : ''
  inZones(`ldns-signzone ${dates} -f ${name}.zone.signed ${name}.zone ${key}`)
  const file = `${ZONES}/${name}.zone.signed`
  const signed = root.read(file)
  const changed = tamper === undefined ? signed : signed.split('\n').map(tamper).join('\n')
  if (tamper !== undefined && changed === signed) throw new Error(`nothing of ${name} was changed`)
  root.write(`${ZONES}/${name}.zone`, changed)
  return root.read(`${ZONES}/${key}.ds`)
}

/** YYYYMMDD */
function dayAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '')
}

function authorityConf(names: readonly string[], port: number): string {
  const zones = names.map((name) => `zone:\n  name: ${name}\n  zonefile: /${ZONES}/${name}.zone\n`)
  return `server:
  ip-address: 127.0.0.1@${port}
  do-ip6: no
  username: ${OWNER.name}
  server-count: 1
  zonesdir: /${ZONES}
  database: ""
  pidfile: ""
  xfrdfile: /var/nsd/xfrd.state
  xfrdir: /var/nsd
  zonelistfile: /var/nsd/zone.list
  rrl-ratelimit: 0
remote-control:
  control-enable: no
${zones.join('')}`
}

interface Validating {
  readonly port: number
  readonly authorityPort: number
  readonly anchor: string
}

/** `test.` is answered by itself unless it is told otherwise (RFC 6761 §6.2). */
function validatingConf(names: readonly string[], { port, authorityPort, anchor }: Validating): string {
  // the root too, or its real servers would be asked about other names
  const stubs = ['', ...names].map(
    (name) => `stub-zone:\n  name: ${name}.\n  stub-addr: 127.0.0.1@${authorityPort}\n`,
  )
  return `server:
  interface: 127.0.0.1
  outgoing-interface: 127.0.0.1
  port: ${port}
  do-ip6: no
  do-daemonize: no
  do-not-query-localhost: no
  num-threads: 1
  chroot: ""
  directory: /run
  username: ${OWNER.name}
  pidfile: ""
  use-syslog: no
  logfile: ""
  val-log-level: 2
  module-config: "validator iterator"
  trust-anchor: "${anchor}"
  local-zone: "test." nodefault
remote-control:
  control-enable: no
${stubs.join('')}`
}

/** Waits until the resolver has the authority's answer. */
async function answers(port: number, log: () => string): Promise<void> {
  for (let until = Date.now() + 20_000; ; ) {
    // each remembers what failed
    const servers = fixedServers([{ address: '127.0.0.1', port }])
    const resolver = new StubResolver({ servers, rounds: 1, timeout: 500 })
    try {
      const { kind } = await resolver.lookup('ns.test', 'A', { signal: AbortSignal.timeout(5000) })
      if (kind === 'found') return
    } catch (error) {
      if (!(error instanceof DnsError)) throw error
    }
    if (Date.now() > until) throw new Error(`the name servers do not answer: ${log()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

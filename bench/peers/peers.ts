/**
 * The other mail servers, ready to be measured: installed into folders of this run, configured for the same work (accept,
 * keep on stable storage, deliver nowhere), started, and held until it is their turn.
 *
 * What cannot be had is named with its reason, never left out in silence.
 */

import type { Peer } from '../rows/row.ts'
import { freeze } from '../support/subject.ts'
import { startExim } from './exim.ts'
import { startHaraka } from './haraka.ts'
import { installPackages } from './npm-packages.ts'
import { startOpenSmtpd } from './opensmtpd.ts'
import { startPostfix } from './postfix.ts'
import type { PeerRequest, PeersRequest } from './request.ts'
import { startSmtpServer } from './smtp-server.ts'

export interface Peers {
  readonly peers: readonly Peer[]
  /** name and reason of each that cannot be measured */
  readonly missing: readonly string[]
}

interface Group {
  readonly names: readonly string[]
  readonly start: (request: PeerRequest) => Promise<readonly Peer[]>
}

const GROUPS: readonly Group[] = [
  { names: ['postfix-hold', 'postfix'], start: startPostfix },
  { names: ['exim-queue'], start: startExim },
  { names: ['opensmtpd'], start: startOpenSmtpd },
  {
    names: ['haraka-discard'],
    start: (request) => startHaraka(request, { name: 'haraka-discard', nodes: 0 }),
  },
  {
    names: ['haraka-fsync-1'],
    start: (request) => startHaraka(request, { name: 'haraka-fsync-1', nodes: 0 }),
  },
  {
    names: ['haraka-fsync-2'],
    start: (request) => startHaraka(request, { name: 'haraka-fsync-2', nodes: 2 }),
  },
  { names: ['smtp-server-fsync-1'], start: (request) => startSmtpServer(request, 1) },
  { names: ['smtp-server-fsync-2'], start: (request) => startSmtpServer(request, 2) },
]

export async function startPeers(request: PeersRequest): Promise<Peers> {
  const { only, tell } = request
  let packages: Promise<string> | undefined
  const whole: PeerRequest = {
    ...request,
    packages: () => {
      packages ??= installPackages(request.cleanup)
      return packages
    },
  }
  const peers: Peer[] = []
  const missing: string[] = []
  for (const { names, start } of GROUPS) {
    const wanted = names.filter((name) => only?.some((word) => name.startsWith(word)) !== false)
    if (wanted.length === 0) continue
    try {
      const started = (await start(whole)).filter(({ subject }) => wanted.includes(subject.name))
      freeze(started.map(({ subject }) => subject))
      peers.push(...started)
      tell(`ready: ${started.map(({ version, subject }) => `${subject.name} (${version})`).join(', ')}`)
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).trim()
      missing.push(`${wanted.join(', ')}: ${reason}`)
      tell(`cannot be measured: ${missing.at(-1)}`)
    }
  }
  return { peers, missing }
}

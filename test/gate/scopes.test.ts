/**
 * Which TLS_Verify_Mode applies, end to end: a client from each network meets the mode, and the line, that the order of
 * scopes says. On Linux every address of 127.0.0.0/8 is this machine, so each client has a network of its own.
 */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  tls_verify_mode = REQUIRE                               # listener

  Peer "127.0.20.0/24" { TLS_Verify_Mode = "None" }       # listener-peer
  Peer "127.0.21.0/24" { Pathway = "strict" }
  Peer "127.0.22.0/24" { Idle_Time = 100 }
  Peer "127.0.23.0/24" { Pathway = "silent" }
  Peer "127.0.24.0/24" {
    Pathway = "strict"
    TLS_Verify_Mode = optional                            # beside-the-pathway
  }

  Listen "127.0.0.1:0" { }

  Listen "127.0.0.2:0" {
    TLS_Verify_Mode = none                                # listen
    Peer "127.0.0.0/8" { Idle_Time = 100 }
    Peer "127.0.30.0/24" { TLS_Verify_Mode = require }    # listen-peer-24
    Peer "127.0.30.128/25" { Idle_Time = 100 }
    Peer "127.0.30.64/26" { TLS_Verify_Mode = optional }  # listen-peer-26
    Peer "127.0.20.0/25" { TLS_Verify_Mode = require }    # listen-peer-over-listener-peer
    Peer "127.0.31.0/24" { Pathway = "grouped" }
  }

  Listen "127.0.0.3:0" { Pathway = "strict" }

  Listen "[::]:0" {
    TLS_Verify_Mode = none                                # dual-stack
    Peer "127.0.40.0/24" { TLS_Verify_Mode = require }    # mapped
    Peer "::1" { TLS_Verify_Mode = optional }             # ipv6
  }

  Listen "FOLDER/gate.sock" {
    TLS_Verify_Mode = none
    Peer "127.0.0.1" { TLS_Verify_Mode = optional }       # unix-as-loopback
  }
}
Pathway "strict" { TLS_Verify_Mode = require }            # pathway
Pathway "silent" { Idle_Time = 100 }
Pathway_Group "g" {
  TLS_Verify_Mode = optional                              # pathway-group
  Pathway "grouped" { Idle_Time = 100 }
}
`

let pki: Pki
let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki })
})
after(() => gate.stop())

interface Case {
  readonly name: string
  readonly listen: 0 | 1 | 2 | 3
  readonly from: string
  readonly to?: string
  readonly mode: 'unset' | 'none' | 'require'
  /** the comment on the line that decides */
  readonly line: string
}

const cases: readonly Case[] = [
  { name: 'the listener', listen: 0, from: '127.0.50.1', mode: 'require', line: 'listener' },
  { name: 'a Peer in the listener', listen: 0, from: '127.0.20.200', mode: 'none', line: 'listener-peer' },
  { name: 'a Pathway named in a Peer', listen: 0, from: '127.0.21.1', mode: 'require', line: 'pathway' },
  { name: 'a silent Peer is passed over', listen: 0, from: '127.0.22.1', mode: 'require', line: 'listener' },
  {
    name: 'a silent Pathway is passed over',
    listen: 0,
    from: '127.0.23.1',
    mode: 'require',
    line: 'listener',
  },
  {
    name: 'a value beside the Pathway’s name',
    listen: 0,
    from: '127.0.24.1',
    mode: 'unset',
    line: 'beside-the-pathway',
  },
  { name: 'the Listen', listen: 1, from: '127.0.50.1', mode: 'none', line: 'listen' },
  { name: 'a Peer in the Listen', listen: 1, from: '127.0.30.1', mode: 'require', line: 'listen-peer-24' },
  {
    name: 'a longer silent prefix is passed over',
    listen: 1,
    from: '127.0.30.200',
    mode: 'require',
    line: 'listen-peer-24',
  },
  {
    name: 'the longest prefix that has the option',
    listen: 1,
    from: '127.0.30.65',
    mode: 'unset',
    line: 'listen-peer-26',
  },
  {
    name: 'a Peer in the Listen over one in the listener',
    listen: 1,
    from: '127.0.20.1',
    mode: 'require',
    line: 'listen-peer-over-listener-peer',
  },
  {
    name: 'a Peer in the listener over the Listen',
    listen: 1,
    from: '127.0.20.200',
    mode: 'none',
    line: 'listener-peer',
  },
  { name: 'a Pathway’s group', listen: 1, from: '127.0.31.1', mode: 'unset', line: 'pathway-group' },
  { name: 'a Pathway named in the Listen', listen: 2, from: '127.0.50.1', mode: 'require', line: 'pathway' },
  {
    name: 'an IPv4 client on a dual-stack socket',
    listen: 3,
    from: '127.0.40.1',
    to: '127.0.0.1',
    mode: 'require',
    line: 'mapped',
  },
  {
    name: 'another IPv4 client there',
    listen: 3,
    from: '127.0.41.1',
    to: '127.0.0.1',
    mode: 'none',
    line: 'dual-stack',
  },
  { name: 'an IPv6 client there', listen: 3, from: '::1', to: '::1', mode: 'unset', line: 'ipv6' },
]

for (const { name, listen, from, to, mode, line } of cases) {
  test(`${name}: ${mode}`, async () => {
    const bound = gate.address(listen)
    assert.deepEqual(await meet({ host: to ?? bound.host, port: bound.port, from }), { mode, line })
  })
}

test('a client of a UNIX socket counts as loopback', async () => {
  const client = await SmtpClient.connectUnix(path.join(gate.folder, 'gate.sock'))
  assert.deepEqual(await judge(client), { mode: 'unset', line: 'unix-as-loopback' })
})

async function meet(address: Address): Promise<{ mode: string; line: string }> {
  return judge(await SmtpClient.connect(address))
}

async function judge(client: SmtpClient): Promise<{ mode: string; line: string }> {
  await client.reply()
  await client.ehlo()
  await client.command('STARTTLS')
  await client.secure({ cert: pki.clients.valid.cert, key: pki.clients.valid.key })
  const context = await client.context()
  client.destroy()
  const mode = context.get('connection.tls_verify_mode') ?? ''
  assert.equal(context.has('connection.tls_client_cert_subject'), mode !== 'none', 'asked for, or not')
  return { mode, line: commentAt(context.get('connection.tls_verify_mode_from') ?? '') }
}

/** The comment that ends the line of a FILE:LINE. */
function commentAt(from: string): string {
  const match = /^(.*):(\d+)$/.exec(from)
  if (match === null) return from
  const line = readFileSync(match[1] ?? '', 'utf8').split('\n')[Number(match[2]) - 1] ?? ''
  return /# (\S+)$/.exec(line)?.[1] ?? line
}

/** Names that Debian's NSD serves and Debian's Unbound validates, from the question to the next hop. */

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { after, before, suite, test } from 'node:test'
import { decode } from 'dns-packet'
import { MxHosts } from '../../src/delivery/mx.ts'
import { OwnHosts } from '../../src/delivery/own-hosts.ts'
import { encodeQuery, type QueryType } from '../../src/dns/message.ts'
import { fixedServers } from '../../src/dns/name-servers.ts'
import { DnsError, StubResolver } from '../../src/dns/stub-resolver.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { type DnsWorld, MANY, startWorld } from './dns-world.ts'
import { delivered, eventually } from './mta.ts'

let world: DnsWorld
before(async () => {
  world = await startWorld()
})
after(() => world.close())

const signal = new AbortController().signal

/** Puts a question to one of the two, without anything that was answered before. */
async function ask(
  name: string,
  type: QueryType,
  server: 'validating' | 'authority' = 'validating',
): Promise<readonly [kind: string, authentic: boolean, records: readonly unknown[]] | string> {
  const resolver = new StubResolver({ servers: fixedServers([world.dns[server]]) })
  try {
    const { kind, authentic, records } = await resolver.lookup(name, type, { signal })
    return [kind, authentic, records]
  } catch (error) {
    if (error instanceof DnsError) return error.message
    throw error
  }
}

suite('questions', () => {
  test('what is signed is authentic, that there is no such name or record too; the rest is not', async () => {
    assert.deepEqual(await ask('second.signed.test', 'A'), ['found', true, ['127.0.0.1']])
    assert.deepEqual(await ask('none.signed.test', 'A'), ['no-name', true, []])
    assert.deepEqual(await ask('second.signed.test', 'AAAA'), ['no-data', true, []])
    assert.deepEqual(await ask('mx.plain.test', 'A'), ['found', false, ['127.0.0.1']])
    assert.deepEqual(await ask('none.plain.test', 'A'), ['no-name', false, []])
    assert.deepEqual(await ask('mx.away.signed.test', 'A'), ['found', false, ['127.0.0.1']])
    assert.deepEqual(await ask('mx.away.signed.test', 'CNAME'), ['found', true, ['mx.plain.test']])
  })

  test('an authority says nothing of authenticity, and of other names nothing at all', async () => {
    assert.deepEqual(await ask('second.signed.test', 'A', 'authority'), ['found', false, ['127.0.0.1']])
    assert.equal(await ask('example.com', 'A', 'authority'), 'A of example.com: REFUSED')
  })

  test('signatures that do not fit, or have expired, are no answer', async () => {
    assert.deepEqual(await ask('mx.tampered.test', 'A'), ['found', true, ['127.0.0.1']])
    const questions = [
      ['moved.tampered.test', 'MX'],
      [`_${world.sink.port}._tcp.mx.tampered.test`, 'TLSA'],
      ['expired.test', 'MX'],
      ['mx.expired.test', 'A'],
    ] as const
    for (const [name, type] of questions) {
      assert.equal(await ask(name, type), `${type} of ${name}: SERVFAIL`)
      assert.equal((await ask(name, type, 'authority'))[0], 'found')
    }
  })

  test('an answer that no datagram holds comes over TCP', async () => {
    for (const server of ['validating', 'authority'] as const) {
      assert.equal(await isTruncated('many.signed.test', world.dns[server].port), true, server)
      const answer = await ask('many.signed.test', 'MX', server)
      assert.deepEqual([answer[0], answer[1], answer[2]?.length], ['found', server === 'validating', MANY])
    }
  })

  test('texts in several parts are one', async () => {
    assert.deepEqual(await ask('_mta-sts.strange.plain.test', 'TXT'), ['found', false, ['v=STSv1; id=1;']])
  })

  test('a host with an address of IPv6 alone has that', async () => {
    const dns = new StubResolver({ servers: fixedServers([world.dns.validating]) })
    const hosts = new MxHosts({ dns, own: new OwnHosts({ names: [], listens: [] }) })
    const question = { domain: 'six.signed.test', port: 25, useIpv6: true, preferIpv6: false, failuresToA: 1 }
    const found = await hosts.find({ ...question, signal })
    assert.deepEqual(found.kind === 'hosts' && found.hosts.map(({ address }) => address), ['::1'])
  })
})

suite('routes', () => {
  test('hosts are tried by preference, whatever their order in the answer', async () => {
    assert.equal(world.turnedAway(), 0)
    await arrives('signed.test')
    assert.equal(world.turnedAway(), 1)
  })

  test('a domain that is an alias has the hosts of the other one', () => arrives('nick.signed.test'))
  test('a domain without MX has its own address', () => arrives('bare.signed.test'))
  test('one with more hosts than a datagram holds', () => arrives('many.signed.test'))

  test('a null MX, and a domain that does not exist, are final', async () => {
    const texts = {
      'null.signed.test': '550 5.4.4 [internal] NULL MX domain does not accept mail',
      'none.signed.test': '554 5.4.4 [internal] Domain Lookup Failed',
    }
    for (const [domain, text] of Object.entries(texts)) {
      await send(domain)
      const failure = await world.gate.event('permanent-failure', (each) => each.domain === domain)
      assert.equal(failure.text, text)
    }
  })
})

suite('DANE', () => {
  for (const domain of ['dane.signed.test', 'gated.test'])
    test(`${domain}: the record fits`, () => arrives(domain, 'dane'))

  test('an alias: records of what it stands for count, and SNI names that', async () => {
    for (const domain of ['aliased.signed.test', 'gated-alias.test']) {
      const before = world.sink.handshakes.length
      await arrives(domain, 'dane')
      assert.deepEqual(
        world.sink.handshakes.slice(before).map(({ sni }) => sni),
        ['mx.dane.signed.test'],
      )
    }
  })

  test('an alias of a host without records: its own count', () => arrives('own.signed.test', 'dane'))

  test('into Postfix, even where its certificate has expired: of usage 3 only the key counts', async () => {
    for (const domain of ['postfix.signed.test', 'expired.signed.test']) {
      await send(domain)
      const { tls } = await world.gate.event('delivery', (each) => each.domain === domain)
      assert.deepEqual([tls?.demand, tls?.verifiedBy], ['required', 'dane'])
      await eventually(
        () => `mail for ${domain}; ${world.postfix.log().slice(-1000)}`,
        () => delivered(world.postfix).some(({ recipient }) => recipient === `bob@${domain}`),
      )
    }
  })

  test('a record that was tampered with: the mail waits, and nobody is connected to', async () => {
    const before = world.sink.connections
    const text = '451 4.7.5 [internal] The TLSA records of mx.tampered.test could not be looked up'
    await waits('tampered.test', text)
    assert.equal(world.sink.connections, before)
  })

  test('a record that does not fit: the mail waits', async () => {
    const text = '451 4.7.5 [internal] The certificate matches none of the TLSA records (tlsa-mismatch)'
    for (const domain of ['wrong.signed.test', 'gated-wrong.test', 'away.signed.test'])
      await waits(domain, text)
  })

  test('MX records that were tampered with, or whose signatures have expired: the mail waits, and no other host is taken', async () => {
    for (const domain of ['moved.tampered.test', 'expired.test'])
      await waits(domain, '451 4.4.3 [internal] The name of the next hop could not be looked up')
  })

  test('nothing that is signed says anything: as without', async () => {
    for (const domain of ['plain.test', 'untold.signed.test']) await arrives(domain)
  })
})

suite('MTA-STS', () => {
  test('the policy that TXT record and policy host tell of is kept to', () =>
    arrives('asked.plain.test', 'sts'))

  test('a host that it does not name gets nothing', () =>
    waits(
      'strange.plain.test',
      '451 4.7.5 [internal] mx.strange.plain.test is not among the hosts of the MTA-STS policy of strange.plain.test',
    ))
})

async function send(domain: string): Promise<void> {
  const client = await SmtpClient.connect(world.gate.address())
  await client.reply()
  for (const line of ['EHLO x', 'MAIL FROM:<>', `RCPT TO:<bob@${domain}>`, 'DATA']) await client.command(line)
  assert.match(await client.command('Subject: x\r\n\r\nbody\r\n.'), /^250/)
  client.destroy()
}

function came(domain: string): number {
  return world.sink.received.filter(({ rcpt }) => rcpt.join().includes(`bob@${domain}>`)).length
}

/** At the sink, once. @param verifiedBy undefined: in clear */
async function arrives(domain: string, verifiedBy?: string): Promise<void> {
  await send(domain)
  const { tls } = await world.gate.event('delivery', (each) => each.domain === domain)
  assert.deepEqual([tls?.demand, tls?.verifiedBy], [verifiedBy && 'required', verifiedBy])
  assert.equal(came(domain), 1)
}

/** Fails twice with that text, and nothing has come to the sink. */
async function waits(domain: string, text: string): Promise<void> {
  await send(domain)
  const failures = await eventually(
    () => `two failures for ${domain}`,
    () => {
      const found = world.gate.events.filter(
        (each) => each.kind === 'transient-failure' && each.domain === domain,
      )
      return found.length >= 2 && found
    },
  )
  for (const failure of failures) assert.equal('text' in failure && failure.text, text)
  assert.equal(came(domain), 0)
}

/** Whether a datagram with the answer is only the beginning of one. */
async function isTruncated(name: string, port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  try {
    const answer = new Promise<Buffer>((resolve) => socket.once('message', resolve))
    socket.send(encodeQuery({ id: 1, name, type: 'MX', edns: true }), port, '127.0.0.1')
    return decode(await answer).flag_tc
  } finally {
    socket.close()
  }
}

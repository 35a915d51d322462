/** What goes beyond the address: XREMOTEIP as Momentum has it, facts by XSETCONTEXT, and swaks as a proxy. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { gate, PROXY, proxy, seenAs, starttls } from './xclient.fixture.ts'

describe('XREMOTEIP', () => {
  test('gives a proxy nothing that only the client’s scope lists', async () => {
    const client = await proxy(0, '127.0.70.3')
    assert.match(await client.command(`XREMOTEIP ${PROXY}`), /^250 /)
    const offered = await client.ehlo()
    assert.ok(offered.includes('XREMOTEIP') && !offered.some((line) => line.startsWith('XCLIENT')))
    assert.match(await client.command('XSETCONTEXT tenant=a'), /^500 /)
    assert.match(await client.command('XCLIENT ADDR=198.51.100.7'), /^500 /)
    client.destroy()
  })

  test('drops the transaction of the other client, and the greeting holds', async () => {
    const client = await proxy()
    await client.command('MAIL FROM:<a@client.example>')
    assert.match(await client.command('XREMOTEIP 198.51.100.9'), /^250 /)
    assert.match(await client.command('RCPT TO:<b@gate.example>'), /^503 /)
    assert.equal((await client.context()).get('connection.ehlo_domain'), 'proxy.example')
    client.destroy()
  })

  for (const args of ['', 'client.example', '198.51.100.7 198.51.100.8', '198.51.100.256', 'fe80::1%lo']) {
    test(`${JSON.stringify(args)}: 501`, async () => {
      const client = await proxy()
      assert.match(await client.command(`XREMOTEIP ${args}`), /^501 5\.5\.4 /)
      assert.equal(await seenAs(client), PROXY)
      client.destroy()
    })
  }
})

describe('XSETCONTEXT', () => {
  test('sets keys that policy sees, over a change of the client too', async () => {
    const client = await proxy()
    assert.match(await client.command('XSETCONTEXT tenant=a+20b+E4 from=told empty='), /^250 /)
    const context = await client.context()
    assert.equal(context.get('connection.tenant'), 'a b\xe4')
    assert.equal(context.get('connection.from'), 'told')
    assert.equal(context.get('connection.empty'), '')
    assert.match(await client.command('XCLIENT ADDR=198.51.100.9 LOGIN=ann'), /^220 /)
    assert.equal((await client.context()).get('connection.saw'), 'ann/a b\xe4')
    client.destroy()
  })

  test('STARTTLS forgets them', async () => {
    for (const line of [undefined, 'XREMOTEIP 198.51.100.9', 'XCLIENT ADDR=198.51.100.9']) {
      const client = await proxy()
      assert.match(await client.command('XSETCONTEXT tenant=a from=told'), /^250 /)
      if (line !== undefined) assert.match(await client.command(line), /^2/)
      await starttls(client)
      const context = await client.context()
      assert.equal(context.get('connection.tenant'), undefined)
      assert.equal(context.get('connection.from'), line === undefined ? 'proxy' : 'listener')
      client.destroy()
    }
  })

  test('what STARTTLS made it forget does not come back with another client', async () => {
    const client = await proxy()
    assert.match(await client.command('XSETCONTEXT tenant=a'), /^250 /)
    await starttls(client)
    assert.match(await client.command('XREMOTEIP 198.51.100.9'), /^250 /)
    assert.equal((await client.context()).get('connection.tenant'), undefined)
    client.destroy()
  })

  const reserved = [
    'can_relay',
    'Can_Relay',
    'pathway',
    'tls',
    'tls_client_verified',
    'TLS_future',
    'auth_user',
    'auth_status',
    'ehlo_domain',
    'mailfrom_domain',
    'rcptto_domain',
    'connection_message_count',
    'message_rcpt_count',
    'xclient_login',
  ]
  test('cannot set what the server goes by, nor anything beside it', async () => {
    const client = await proxy()
    const before = await client.context()
    for (const name of reserved) {
      assert.match(
        await client.command(`XSETCONTEXT tenant=a ${name}=true`),
        new RegExp(`^501 5\\.5\\.4 XSETCONTEXT cannot set ${name}$`),
      )
    }
    assert.deepEqual(await client.context(), before)
    client.destroy()
  })

  test('names and values are bounded and hold no control characters', async () => {
    const client = await proxy()
    const lines = [
      '',
      'x',
      '=y',
      '#8bitmime=true',
      'a=b=c',
      'a=+0A',
      'a=+0d+0aX',
      'a=+00',
      'a=+7F',
      `${'a'.repeat(65)}=b`,
    ]
    for (const line of lines) assert.match(await client.command(`XSETCONTEXT ${line}`), /^501 5\.5\.4 /, line)
    const many = Array.from({ length: 100 }, (_, index) => `k${index}=v`).join(' ')
    assert.match(await client.command(`XSETCONTEXT ${many}`), /^250 /)
    assert.match(await client.command('XSETCONTEXT k0=other'), /^250 /)
    assert.match(await client.command('XSETCONTEXT one_more=v'), /^501 5\.5\.4 too many keys/)
    client.destroy()
  })
})

async function swaks(...args: string[]): Promise<{ code: number | 'missing'; output: string }> {
  const { host, port } = gate.address()
  const run = spawn('swaks', ['-s', host, '-p', String(port), '--local-interface', PROXY, ...args], {
    stdio: 'pipe',
  })
  let output = ''
  run.stdout.on('data', (chunk) => (output += String(chunk)))
  run.stderr.on('data', (chunk) => (output += String(chunk)))
  const code = await Promise.race([
    once(run, 'close').then(([status]) => status as number),
    once(run, 'error').then(() => 'missing' as const),
  ])
  return { code, output }
}

describe('swaks, a client that we did not write', () => {
  const envelope = ['-f', 'a@client.example', '-t', 'swaks@gate.example']
  const attributes = [
    '--xclient-addr',
    '198.51.100.31',
    '--xclient-name',
    'mx.client.example',
    '--xclient-helo',
    'helo.example',
  ]

  test('names a client in clear and delivers for it', async (t) => {
    const { code, output } = await swaks(...envelope, ...attributes, '--xclient-login', 'ann')
    if (code === 'missing') return t.skip('swaks is not installed')
    assert.equal(code, 0, output)
    assert.match(output, /EHLO to 198\.51\.100\.31/)
    const { envelope: kept } = await gate.event(
      'reception',
      ({ envelope: { client } }) => client.address === '198.51.100.31',
    )
    assert.equal(kept.recipient.local, 'swaks')
  })

  test('names a client inside TLS', async (t) => {
    const { code, output } = await swaks(...envelope, ...attributes, '-tls')
    if (code === 'missing') return t.skip('swaks is not installed')
    assert.equal(code, 0, output)
    assert.match(output, /EHLO to 198\.51\.100\.31/)
  })

  test('may not relay for the client that it named', async (t) => {
    const { code, output } = await swaks('-f', 'a@client.example', '-t', 'b@elsewhere.example', ...attributes)
    if (code === 'missing') return t.skip('swaks is not installed')
    assert.notEqual(code, 0)
    assert.match(output, /550 5\.7\.1/)
  })
})

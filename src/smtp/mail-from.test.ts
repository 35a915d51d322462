/** MAIL: room in the spool, addresses without a domain, and the configuration that is in force from there on. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withClient } from './with-client.fixture.ts'

test('a newer configuration is noticed at MAIL and RSET', async () => {
  for (const command of ['MAIL FROM:<>', 'RSET']) {
    await withClient({ services: { superseded: () => true } }, async (client, host) => {
      await client.ehlo()
      assert.equal(await client.command(command), '421 4.3.2 Reconfiguration in progress')
      await client.closed()
      assert.equal(host.rejections().length, 1)
    })
  }
})

test('MAIL is refused while the spool has no room, for its declared size, and for a null sender where not wanted', async () => {
  const options = { max_message_size: 1000, allow_null_envelope_sender: false, allow_ip_literal: false }
  let room = false
  await withClient({ options }, async (client, host) => {
    host.spool.hasRoom = () => room
    assert.ok((await client.ehlo()).includes('SIZE 1000'))
    assert.equal(await client.command('MAIL FROM:<a@b.example>'), '452 4.3.1 insufficient system storage')
    room = true
    assert.equal(
      await client.command('MAIL FROM:<a@b.example> SIZE=1001'),
      '552 5.3.4 message size limit exceeded',
    )
    assert.match(await client.command('MAIL FROM:<>'), /^550 5\.7\.1/)
    assert.match(await client.command('MAIL FROM:<a@[127.0.0.1]>'), /^501/)
    assert.match(await client.command('MAIL FROM:<a@b.example> SIZE=1000'), /^250/)
    assert.match(await client.command('RCPT TO:<a@[127.0.0.1]>'), /^501/)
    assert.equal(host.rejections().length, 5)
  })
})

test('unqualified addresses get the domain that the scope lends them; the line stays as it was', async () => {
  const options = {
    domain_for_unqualified_recipient_addresses: 'local.example',
    domain_for_unqualified_sender_address: 'Sender.Example',
  }
  await withClient({ options }, async (client, host) => {
    await client.command('MAIL FROM:<root>')
    await client.command('RCPT TO:<postmaster>')
    await client.command('RCPT TO:<x>')
    await client.command('DATA')
    await client.command('A: b\r\n\r\n.')
    assert.deepEqual(
      host.enqueued.map(({ envelope }) => [
        envelope.sender?.domain,
        envelope.recipient,
        envelope.messageContext['rcptto_string'],
      ]),
      [
        ['sender.example', { local: 'postmaster', domain: 'local.example' }, 'RCPT TO:<postmaster>'],
        ['sender.example', { local: 'x', domain: 'local.example' }, 'RCPT TO:<x>'],
      ],
    )
  })
})

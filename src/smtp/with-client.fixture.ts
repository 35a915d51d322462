/** Runs a test's body with a client connected to a session host of its own. */

import assert from 'node:assert/strict'
import { SmtpClient } from '../../test/support/smtp-client.ts'
import type { HostOptions, SessionHost } from './session-host.fixture.ts'
import { startHost } from './session-host.fixture.ts'

/** The banner has been read. */
export async function withClient(
  options: HostOptions,
  body: (client: SmtpClient, host: SessionHost) => Promise<void>,
): Promise<void> {
  await withHost(options, async (client, host) => {
    assert.match(await client.reply(), /^220 /)
    await body(client, host)
  })
}

/** Nothing has been read. */
export async function withHost(
  options: HostOptions,
  body: (client: SmtpClient, host: SessionHost) => Promise<void>,
): Promise<void> {
  const host = await startHost(options)
  const client = await SmtpClient.connect(host.address)
  try {
    await body(client, host)
  } finally {
    client.destroy()
    await host.stop()
  }
}

/** MAIL, RCPT for each recipient, DATA: up to the 354. */
export async function openData(client: SmtpClient, ...recipients: string[]): Promise<void> {
  assert.match(await client.command('MAIL FROM:<sender@from.example>'), /^250/)
  for (const recipient of recipients.length > 0 ? recipients : ['x@local.example']) {
    assert.match(await client.command(`RCPT TO:<${recipient}>`), /^250/)
  }
  assert.match(await client.command('DATA'), /^354/)
}

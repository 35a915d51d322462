import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { notify } from './notify.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-notify-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A `systemd-notify` that does what the script says; the environment that finds it. */
function helper(name: string, script: string): NodeJS.ProcessEnv {
  const bin = mkdtempSync(path.join(folder, `${name}-`))
  const program = path.join(bin, 'systemd-notify')
  writeFileSync(program, `#!/bin/sh\n${script}\n`)
  chmodSync(program, 0o755)
  return { PATH: `${bin}:/usr/bin:/bin`, NOTIFY_SOCKET: '/run/systemd/notify' }
}

test('each state is sent as systemd spells it, with the socket that systemd named', async () => {
  const log = path.join(folder, 'sent')
  const env = helper('good', `printf '%s\\n' "$NOTIFY_SOCKET" "$@" >> ${log}`)
  assert.equal(await notify('RELOADING=1', { env }), true)
  assert.equal(await notify('READY=1', { env }), true)
  assert.equal(await notify('STOPPING=1', { env }), true)
  const socket = '/run/systemd/notify\n'
  const sent = readFileSync(log, 'utf8').replace(/USEC=\d+/, 'USEC=N')
  assert.equal(sent, `${socket}RELOADING=1\nMONOTONIC_USEC=N\n${socket}READY=1\n${socket}STOPPING=1\n`)
})

test('nothing is started where systemd did not ask', async () => {
  const log = path.join(folder, 'uncalled')
  const { PATH = '' } = helper('uncalled', `echo called > ${log}`)
  assert.equal(await notify('READY=1', { env: { PATH } }), false)
  assert.equal(await notify('READY=1', { env: { PATH, NOTIFY_SOCKET: '' } }), false)
  assert.throws(() => readFileSync(log), { code: 'ENOENT' })
})

test('a helper that is missing, fails or hangs is no failure of the server', async () => {
  const env = { PATH: folder, NOTIFY_SOCKET: '/run/systemd/notify' }
  assert.equal(await notify('READY=1', { env }), false)
  assert.equal(await notify('READY=1', { env: helper('bad', 'exit 1') }), false)
  assert.equal(await notify('READY=1', { env: helper('slow', 'exec sleep 60'), timeout: 50 }), false)
})

/** Plays every conversation beside this file against a server of its own. */

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { parseConversation, playConversation } from '../support/dialogue.ts'
import { startTestGate } from '../support/test-gate.ts'

for (const name of readdirSync(import.meta.dirname).filter((file) => file.endsWith('.smtp'))) {
  test(name, async () => {
    const text = readFileSync(path.join(import.meta.dirname, name), 'utf8')
    const conversation = parseConversation(text, name)
    const gate = await startTestGate({ conf: conversation.config })
    try {
      await playConversation(conversation, gate.address())
    } finally {
      await gate.stop()
    }
  })
}

/** A gate with the operators’ page, and operators who have logged in. */

import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import { cheapHash } from '../support/cheap-hash.ts'
import { PageClient } from '../support/page-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

export const CONF = `
ESMTP_Listener {
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Relay_Hosts = ( "127.0.0.0/8" )
  Listen "127.0.0.1:0" { Use_SSL = true TLS_Verify_Mode_Shadow = "require" }
  Listen "127.0.0.2:0" { Use_SSL = true TLS_Verify_Mode = "require" }
}
HTTP_Listener "page" {
  Page = true
  AuthLoginParameters [ uri = "file://FOLDER/users" ]
  Page_Operators = ( "alice" )
  Listen "127.0.0.1:0" { }
}
HTTP_Listener "certificates" {
  Page = true
  Use_SSL = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Verified_Peer_Is_Authorized = true
  Page_Operators = ( "CN=client-valid.example" )
  Listen "127.0.0.1:0" { }
}
${MAILDIR}
`
export const USERS = `alice:${cheapHash('scrypt', 'correct horse')}\nbob:battery staple\n`

export let gate: TestGate

before(async () => {
  gate = await startTestGate({ pki: await testPki(), conf: CONF, files: { users: USERS } })
})
after(() => gate.stop())

export interface ConfigurationNode {
  readonly title: string
  readonly path: string
  readonly options: readonly { readonly name: string; readonly value: string; readonly from: string }[]
  readonly children: readonly ConfigurationNode[]
}

export const place = (index = 0): string => gate.server.serviceAddresses.http[index] ?? ''

export async function loggedIn(user = 'alice', password = 'correct horse'): Promise<PageClient> {
  const client = new PageClient(place())
  const reply = await client.login(user, password)
  assert.equal(reply.status, 200, reply.text)
  return client
}

export const operatorFacts = () => gate.events.filter((event) => event.kind === 'operator')

/**
 * A typing error never goes unnoticed and never weakens a check: every character of a configuration's names, words and
 * punctuation is left out, doubled, replaced and swapped with its neighbour, and each result is either an error or means
 * exactly what was meant. Text between « and » is the operator's own (addresses, files, numbers) and stays as it is.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadSettingsFromText } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/settings.ts'

const marked = `
Relay_Domains = ( "«example.com»" )
TLS_Client_CA = "«ca.pem»"
Pathway "«strict»" {
  TLS_Verify_Mode = require
  Require_TLS = true
}
Pathway_Group «"partners"» {
  Pathway "«inner»" { TLS_Verified_Peer_Can_Relay = false }
}
ESMTP_Listener {
  TLS_Certificate = "«server.pem»"
  SMTP_Extensions = ( "STARTTLS" "ENHANCEDSTATUSCODES" "AUTH PLAIN" )
  AuthPlainParameters = [ uri = "file:«///etc/users" » log_authentication = true ]
  TLS_Verify_Mode = "require"
  STARTTLS_Injection_Policy = "reject"
  Open_Relay = off
  Always_Deny = yes
  TLS_DN_Format = oneline
  TLS_Protocols = "+ALL:-TLSv1.0"
  TLSv13_Ciphersuites = "TLS_AES_256_GCM_SHA384"
  Peer "«192.0.2.0/24»" { Relay_Hosts = ( «192.0.2.0/24» ) }
  Listen "«:25»" {
    Use_SSL = false
    Peer "«10.0.0.0/8»" {
      Pathway = "«strict»"
      Allow_Plaintext_Auth = "disabled"
    }
    Peer "«10.1.0.0/16»" { Pathway = "«inner»" }
  }
}
Partner "«acme»" {
  Issuer = "«CN=Acme CA,O=Acme»"
  SAN_DNS = ( "«mx.acme.example»" )
  SPKI_Pin = ( "sha256:«0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef»" "sha256:«ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef»" )
  Valid_Until = "«2026-12-31»"
  Sender_Domains = ( "«acme.example»" )
  Sender_Domains_Exclusive = true
  Relay = false
  Pathway = "«strict»"
}
Security { User = «"postern"» }
Domain "«store.example»" { Gateway = "unix:«/run/lmtp»" Delivery_Method = "LMTP" LMTP_Port = «2424» }
pipe_transport «"tickets"» {
  program_name = "«/usr/local/bin/ticket»"
  domain = ( "«tickets.example»" )
  arguments = ( "«--»" "%{recipient_local}" )
  code = [ «100» = "«550 no»" ]
  max_concurrent = «3»
}
webhook «"app"» {
  url = "https://«app.example/mail»"
  domains = ( "«app.example»" )
  key_file = "«app.key»"
  tls_ca = "«app-ca.pem»"
}
maildir «"local"» {
  basedir = "«mail»"
  domains = ( "«example.com»" )
  create_users = true
}
`

/** Everything that a client could notice, or an attacker use. */
function meaning(settings: Settings): string {
  const [listen] = settings.listens
  assert.ok(listen)
  const clients = ['198.51.100.1', '192.0.2.1', '10.2.2.2', '10.1.1.1'].map((address) => {
    const { options, pathway, pathwayGroup } = settings.resolveInbound(listen, address)
    return { options, pathway, pathwayGroup }
  })
  const { global, security, maildirs, pipes, webhooks, partners, listens } = settings
  const store = settings.resolveOutbound('store.example').options
  return JSON.stringify(
    { clients, global, security, maildirs, pipes, webhooks, store, partners, listens: listens.length },
    (key, value: unknown) => (key === 'at' || key === 'scope' ? undefined : value),
  )
}

async function read(text: string): Promise<string | undefined> {
  const { settings } = await loadSettingsFromText(text)
  return settings && meaning(settings)
}

/** Places of the text that are not the operator's own, in the text without its marks. */
function places(): { readonly text: string; readonly at: readonly number[] } {
  let text = ''
  const at: number[] = []
  let own = false
  for (const character of marked) {
    if (character === '«' || character === '»') own = character === '«'
    else {
      if (!own && !/\s/.test(character)) at.push(text.length)
      text += character
    }
  }
  return { text, at }
}

/** Momentum's module has these names too: recognised, warned about, and then nobody gets local mail. */
const otherNames = ['domain = ( "example.com" )', 'createusers = true']

const mistakes: Readonly<Record<string, (text: string, at: number) => string>> = {
  'left out': (text, at) => text.slice(0, at) + text.slice(at + 1),
  doubled: (text, at) => text.slice(0, at) + text.charAt(at) + text.slice(at),
  replaced: (text, at) => `${text.slice(0, at)}${text.charAt(at) === 'x' ? 'y' : 'x'}${text.slice(at + 1)}`,
  'swapped with the next': (text, at) =>
    text.slice(0, at) + text.charAt(at + 1) + text.charAt(at) + text.slice(at + 2),
}

for (const [name, mistake] of Object.entries(mistakes)) {
  test(`a character that is ${name} is an error, or changes nothing`, async () => {
    const { text, at } = places()
    const meant = await read(text)
    assert.ok(meant !== undefined)
    const unnoticed: string[] = []
    for (const place of at) {
      const mistyped = mistake(text, place)
      const got: string | undefined = mistyped === text ? meant : await read(mistyped)
      if (got === undefined || got === meant) continue
      const start = mistyped.lastIndexOf('\n', place) + 1
      unnoticed.push(mistyped.slice(start, mistyped.indexOf('\n', place)).trim())
    }
    assert.deepEqual(
      unnoticed.filter((line) => !otherNames.includes(line)),
      [],
    )
  })
}

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import { describeOrigin } from '../../config/diagnostic.ts'
import { loadSettingsFromText } from '../../config/load.ts'
import { auditSessions } from './audit.ts'
import { SessionMaterial } from './material.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())

const DNS = 'DNS_Servers = ( 127.0.0.1 )'

/** What there is to say about a configuration: `error 1 text`. */
async function audit(text: string, now = Date.now()): Promise<readonly string[]> {
  const { settings, diagnostics } = await loadSettingsFromText(text, pki.file('gate.conf'))
  assert.ok(settings !== undefined, diagnostics.map(({ message }) => message).join('\n'))
  const found = await auditSessions(settings, new SessionMaterial(settings.global.mta_sts_ca), now)
  return found.map(({ severity, message, at }) => {
    return `${severity} ${at === undefined ? '' : describeOrigin(at).split(':').at(-1)} ${message}`
  })
}

const silent: readonly string[] = [
  '',
  'TLS = ifavailable',
  'TLS = required TLS_Verify = host TLS_CA = ca.pem TLS_Certificate = client-valid.pem TLS_Key = client-valid.key',
  'TLS = required TLS_Verify = host TLS_CA = ca.pem\nDomain "x.test" { TLS = no }',
  `Use_DANE = true Use_MTA_STS = true ${DNS}`,
  `Use_DANE = true Enable_DANE = true Domain "x.test" { Use_DANE = false } ${DNS}`,
  'TLS = required TLS_Verify = host TLS_CA = ca.pem Outbound_SMTP_Auth_Type = PLAIN Outbound_SMTP_Auth_User = u Outbound_SMTP_Auth_Pass = p outbound_smtp_auth { } dane { }',
]

for (const text of silent) {
  test(`nothing is said about ${text === '' ? 'an empty configuration' : text}`, async () => {
    assert.deepEqual(await audit(text), [])
  })
}

const told: readonly (readonly [string, string, RegExp])[] = [
  [
    'verifying without CAs',
    'TLS = required\nTLS_Verify = ca',
    /^error 2 TLS_Verify is "ca" without a TLS_CA/,
  ],
  [
    'looking without CAs',
    'TLS = required\nTLS_Verify = optional',
    /^error 2 TLS_Verify is "optional" without a TLS_CA/,
  ],
  [
    'verifying without TLS',
    'TLS_CA = ca.pem\nTLS_Verify = host',
    /^error 2 TLS_Verify = "host" does nothing while TLS is "no"/,
  ],
  [
    'verifying what need not be encrypted',
    'TLS = ifavailable\nTLS_CA = ca.pem\nTLS_Verify = host',
    /^warning 3 .*gets the mail in clear$/,
  ],
  [
    'the same in a Domain',
    'TLS = required\nDomain "x.test" {\n TLS_Verify = host }',
    /^error 3 TLS_Verify is "host" without/,
  ],
  [
    'the same in a pattern',
    'TLS = required\nDomain "/x$/" {\n TLS_Verify = host }',
    /^error 3 TLS_Verify is "host" without/,
  ],
  [
    'a CA that is not there',
    'TLS = required TLS_Verify = ca\nTLS_CA = missing.pem',
    /^error 2 TLS_CA "missing\.pem": /,
  ],
  [
    'a CA that is none',
    'TLS = required TLS_Verify = ca\nTLS_CA = server.key',
    /^error 2 TLS_CA "server\.key": /,
  ],
  [
    'a certificate without its key',
    'TLS = required\nDomain "x.test" {\n TLS_Certificate = client-valid.pem }',
    /^error 3 TLS_Certificate "client-valid\.pem": it holds no private key$/,
  ],
  [
    'a key of another certificate',
    'TLS = required\nTLS_Certificate = client-valid.pem\nTLS_Key = server.key',
    /^error 2 TLS_Certificate .*: key and certificate do not match$/,
  ],
  [
    'a certificate that has expired',
    'TLS_Certificate = client-expired.pem TLS_Key = client-expired.key',
    /^warning 1 TLS_Certificate "client-expired\.pem": our certificate expired on /,
  ],
  [
    'protocols of which none is left',
    'TLS = required\nTLS_Protocols = "-ALL"',
    /^error 2 TLS_Protocols: no version of TLS is left$/,
  ],
  ['ciphers that nobody knows', 'TLS = required\nTLS_Ciphers = "NOSUCH"', /^error 2 TLS_Ciphers: /],
  [
    'enabling what is not used',
    'Enable_DANE = true',
    /^error 1 Enable_DANE does nothing without Use_DANE = true$/,
  ],
  [
    'the same for policies',
    'Enable_MTA_STS = true',
    /^error 1 Enable_MTA_STS does nothing without Use_MTA_STS = true$/,
  ],
  [
    'believing a resolver that is far away',
    'DNS_Servers = ( 127.0.0.1 192.0.2.53 )\nUse_DANE = true',
    /^warning 1 Use_DANE believes what 192\.0\.2\.53 says/,
  ],
  [
    'roots that are not there',
    'Use_MTA_STS = true\nMTA_STS_CA = missing.pem',
    /^error 2 MTA_STS_CA "missing\.pem": /,
  ],
  [
    'a login without TLS',
    'Outbound_SMTP_Auth_User = u Outbound_SMTP_Auth_Pass = p\nOutbound_SMTP_Auth_Type = PLAIN',
    /^error 2 Outbound_SMTP_Auth_Type needs TLS/,
  ],
  [
    'a login with a stranger',
    'TLS = required Outbound_SMTP_Auth_User = u Outbound_SMTP_Auth_Pass = p\nOutbound_SMTP_Auth_Type = PLAIN',
    /^warning 2 the password goes to a host that nobody has verified/,
  ],
  [
    'a login in clear',
    'Outbound_SMTP_Auth_Type = PLAIN Outbound_SMTP_Auth_User = u Outbound_SMTP_Auth_Pass = p\nOutbound_SMTP_Auth_Plaintext = true',
    /^warning 2 the password may cross the network in clear$/,
  ],
  [
    'half a login',
    'TLS = required TLS_Verify = host TLS_CA = ca.pem Outbound_SMTP_Auth_User = u\nOutbound_SMTP_Auth_Type = PLAIN',
    /^warning 2 .* needs Outbound_SMTP_Auth_User and Outbound_SMTP_Auth_Pass/,
  ],
]

for (const [what, text, message] of told) {
  test(`it is told once, and where: ${what}`, async () => {
    const found = await audit(text)
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0] ?? '', message)
  })
}

test('what will expire soon is told', async () => {
  const found = await audit(
    'TLS = required TLS_Verify = ca TLS_CA = ca.pem TLS_Certificate = client-valid.pem TLS_Key = client-valid.key',
    Date.now() + 350 * 86_400_000,
  )
  assert.equal(found.length, 2)
  assert.match(found.join('\n'), /our certificate expires on .*\n.*the CA "CN=Postern test CA" expires on /s)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutSecrets } from './secrets.ts'

test('what looks like a secret is masked, and nothing else', () => {
  const cases: Readonly<Record<string, string>> = {
    'mailq -d example.com': 'mailq -d example.com',
    'config set Hostname gate.example': 'config set Hostname gate.example',
    'config set Domain "x" Outbound_SMTP_Auth_Pass = "a b"':
      'config set Domain "x" Outbound_SMTP_Auth_Pass ***',
    'json config set binding b outbound_smtp_auth_pass hunter2':
      'json config set binding b outbound_smtp_auth_pass ***',
    'config set datasource d uri ( "pgsql:host=h;user=u;password=hunter2" )':
      'config set datasource d uri ( "pgsql:host=h;user=u;password=***',
    'config set datasource d uri ( "pgsql:host=h;password=hunter2 horse;user=u" )':
      'config set datasource d uri ( "pgsql:host=h;password=***',
    'config set datasource d uri ( "\\"pgsql:host=h;password=hunter2" "horse\\"" )':
      'config set datasource d uri ( "\\"pgsql:host=h;password=***',
    'greet https://ann:hunter@2@host/x': 'greet https://ann:***@host/x',
    'greet https://ann:hunter2@host/x': 'greet https://ann:***@host/x',
    'config set webhook w url "https://h.example/p?a=1&api_key=hunter2&b=2"':
      'config set webhook w url "https://h.example/p?a=1&api_key=***"',
    'greet api_token: hunter2 more': 'greet api_token: *** more',
    'fail domain --meta password hunter2 example.com': 'fail domain --meta password *** example.com',
    'json fail all --meta "api key" "hunter 2" no more': 'json fail all --meta "api key" *** no more',
    'delay 60 --header Authorization "Bearer \\"hunter2\\" x" --domain a.example':
      'delay 60 --header Authorization *** --domain a.example',
    'fail domain quiet --dry-run --META My_Token hunter2 all 550 no':
      'fail domain quiet --dry-run --META My_Token *** all 550 no',
    'fail domain --meta campaign summer example.com': 'fail domain --meta campaign summer example.com',
    'fail domain --meta password "hunter2': 'fail domain --meta password ***',
    'setuser ann password hunter2 now': 'setuser ann password *** now',
    'setuser ann --new-password "hunter 2"': 'setuser ann --new-password ***',
    'domain token.example': 'domain token.example',
    'fail domain passwords.example 554 gone': 'fail domain passwords.example 554 gone',
    'login PLAIN AGFubgBodW50ZXIy': 'login ***',
    ' LOGIN x': 'login ***',
  }
  for (const [line, masked] of Object.entries(cases)) assert.equal(withoutSecrets(line), masked)
})

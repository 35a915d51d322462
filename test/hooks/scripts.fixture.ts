/** Policies made from script text, and facts to ask them with. */

import type { Diagnostic } from '../../src/config/diagnostic.ts'
import type { Panic, ServerEvent } from '../../src/events/events.ts'
import { HeaderBlock } from '../../src/mail/headers.ts'
import { ValidationContext } from '../../src/policy/context.ts'
import type { MessageFacts, PhaseFacts, Policy, SessionFacts } from '../../src/policy/phases.ts'
import { createPolicy, type PolicyOptions } from '../../src/policy/run.ts'
import type { Peer } from '../../src/tls/peer.ts'
import { unsigned } from './unsigned.fixture.ts'

export interface Gate {
  /** verdicts name nobody */
  readonly policy: Policy
  /** verdicts name the script that answered */
  readonly signed: Policy
  readonly diagnostics: readonly Diagnostic[]
  /** paniclog texts, oldest first */
  readonly panics: string[]
}

type Files = Readonly<Record<string, string>>

/** Loads scripts by name: `gate` is the file `/etc/postern/gate.lua`, written `gate.lua`. */
export async function load(
  scripts: Files,
  options: Partial<PolicyOptions> & { readonly modules?: Files } = {},
): Promise<Gate> {
  const { modules = {}, ...rest } = options
  const panics: string[] = []
  const emit = (event: ServerEvent): void => {
    if (event.kind === 'panic') panics.push((event satisfies Panic).text)
  }
  const text = (path: string): string | undefined => {
    const name = path.replace('/etc/postern/', '')
    return modules[name] ?? scripts[name.replace(/\.lua$/, '')]
  }
  const { policy, diagnostics } = await createPolicy({
    scripts: Object.keys(scripts).map((name, index) => ({
      name,
      source: `${name}.lua`,
      path: `/etc/postern/${name}.lua`,
      at: { file: 'gate.conf', line: index + 1, column: 1, length: 6 },
    })),
    hostname: 'mx.example',
    events: { emit },
    readFile: async (path) => Buffer.from(text(path) ?? '', 'latin1'),
    readModule: (path) => {
      const found = text(path)
      return found === undefined ? undefined : Buffer.from(found, 'latin1')
    },
    ...rest,
  })
  return { policy: unsigned(policy), signed: policy, diagnostics, panics }
}

/** A script `gate` with one callout whose body is given. */
export function callout(body: string, signature = 'validate_mailfrom(str, ac, vctx)', name = 'gate'): string {
  return `local core = require("msys.core"); require("msys.extended.vctx"); require("msys.extended.message");
local mod = {}
function mod:${signature}
${body}
end
msys.registerModule("${name}", mod)
`
}

export function session(
  connection: Readonly<Record<string, string>> = {},
  peer: Peer = { kind: 'plaintext' },
): SessionFacts {
  const context = new ValidationContext()
  for (const [key, value] of Object.entries(connection)) context.set('connection', key, value)
  return {
    connectionId: '00/00-00001-00000001',
    remote: { address: '192.0.2.7', port: 40_123 },
    local: { address: '2001:db8::1', port: 25 },
    peer,
    context,
  }
}

export function message(
  of: SessionFacts,
  header = 'Subject: one\r\nX-Tag: a\r\nX-Tag: b\r\n\r\n',
): MessageFacts {
  return {
    id: '00/01-00001-00000002',
    sender: { local: 'alice', domain: 'from.example' },
    recipient: { local: 'bob', domain: 'here.example' },
    headers: new HeaderBlock(header),
    context: of.context,
    size: 1234,
  }
}

const mailLine = 'MAIL FROM:<alice@from.example>'

/** The facts of MAIL. */
export function mail(of: SessionFacts = session(), line = mailLine): PhaseFacts['mailfrom'] {
  return {
    session: of,
    line,
    sender: { local: 'alice', domain: 'from.example' },
    parameters: new Map([['SIZE', '1000']]),
  }
}

/** Asks for the MAIL phase. */
export async function askMail(gate: Gate, facts: SessionFacts = session()) {
  return gate.policy.ask('mailfrom', mail(facts))
}

export const temporaryIssue = {
  kind: 'disconnect',
  code: 421,
  text: 'mx.example temporary issue, please retry your message later',
  module: 'scriptlet',
} as const

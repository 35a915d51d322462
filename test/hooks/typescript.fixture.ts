/** Policies in TypeScript from their methods, the facts of every phase, and answers with the verdicts they stand for. */

import assert from 'node:assert/strict'
import type { Mailbox } from '../../src/mail/envelope.ts'
import type {
  AnyFacts,
  AnyPhase,
  MessageFacts,
  RecipientList,
  SessionFacts,
} from '../../src/policy/phases.ts'
import type { Verdict } from '../../src/policy/verdict.ts'
import { PolicyFolder, policyText } from './modules.fixture.ts'
import { mail, message } from './scripts.fixture.ts'

export const reply = (code: number, text: string): Verdict => ({
  kind: 'reply',
  code,
  text,
  module: 'scriptlet',
})
export const close = (code: number, text: string): Verdict =>
  ({ ...reply(code, text), kind: 'disconnect' }) as Verdict
const dropped = (text: string): Verdict => ({ kind: 'discard', text, module: 'scriptlet' })
export const goOn: Verdict = { kind: 'continue' }

export const folder = new PolicyFolder()
let written = 0

/** A file name that no policy has had: what has been read under a name is not read again. */
export const nextName = (): string => `policy${written++}.ts`

/** A policy with these methods under a name of its own. */
export async function load(methods: string, options: Parameters<PolicyFolder['load']>[1] = {}) {
  const name = nextName()
  folder.write({ [name]: policyText(methods) })
  const loaded = await folder.load([name], options)
  assert.deepEqual(folder.shown(loaded), [])
  return { ...loaded, name }
}

export function parameters(): AnyFacts['tls_parameters']['parameters'] {
  const nothing = {
    mode: undefined,
    certificate: undefined,
    key: undefined,
    ca: undefined,
    ciphers: undefined,
  }
  return { use: true, ...nothing }
}

/** Facts for each phase. */
export function factsOf(of: SessionFacts): { readonly [P in AnyPhase]: AnyFacts[P] } {
  let mailboxes: readonly Mailbox[] = [{ local: 'bob', domain: 'here.example' }]
  const recipients: RecipientList = {
    get mailboxes() {
      return mailboxes
    },
    replace: (others) => {
      mailboxes = others
    },
  }
  const facts: MessageFacts = { ...message(of), recipients }
  const both = { session: of, message: facts }
  const certificate = { verified: true, subject: 'CN=a', issuer: 'CN=ca' }
  const login = { user: 'ann', password: 'secret', response: { text: '535 5.7.8 no' } }
  const note = (text: string): void => of.context.set('connection', 'seen', text)
  const host = { name: 'mx.test', address: '192.0.2.25', domain: 'b.test', note }
  return {
    accept: { session: of },
    connect: { session: of },
    connected: { session: of },
    tls_parameters: { session: of, parameters: parameters(), scopeMode: 'unset' },
    tls_verify: { session: of, certificate },
    host_verify: { session: of, certificate, host },
    auth_before: { session: of },
    auth_perform: { session: of, login },
    auth_failed: { session: of, login },
    rcptto_list: both,
    rcptto_list_final: both,
    final_validation2: both,
    post_final_validation: both,
    ehlo: { session: of, line: 'EHLO one' },
    tls: { session: of },
    auth: { session: of, status: 'pass' },
    mailfrom: mail(of),
    rcptto: { ...both, line: 'RCPT TO:<bob@here.example>' },
    data: both,
    data_spool: both,
    data_spool_each_rcpt: both,
    each_rcpt_after: both,
    final_validation: both,
    set_binding: both,
  }
}

export const methods: { readonly [P in AnyPhase]: string } = {
  accept: 'accept',
  connect: 'connect',
  connected: 'connected',
  tls_parameters: 'tlsParameters',
  tls_verify: 'tlsVerify',
  host_verify: 'hostVerify',
  auth_before: 'authBefore',
  auth_perform: 'checkPassword',
  auth_failed: 'authFailed',
  each_rcpt_after: 'dataSpoolEachRcptFinal',
  final_validation: 'afterFinalValidation',
  rcptto_list: 'rcptToList',
  rcptto_list_final: 'rcptToListFinal',
  final_validation2: 'finalValidation',
  post_final_validation: 'postFinalValidation',
  ehlo: 'ehlo',
  tls: 'tls',
  auth: 'auth',
  mailfrom: 'mailFrom',
  rcptto: 'rcptTo',
  data: 'data',
  data_spool: 'dataSpool',
  data_spool_each_rcpt: 'dataSpoolEachRcpt',
  set_binding: 'setBinding',
}
export const phases = Object.keys(methods) as AnyPhase[]

export const answers: readonly (readonly [answer: string, kind: string, verdict: Verdict])[] = [
  ['undefined', 'proceed', goOn],
  ['proceed', 'proceed', goOn],
  ['done()', 'done', { kind: 'done' }],
  ["accept(250, '2.1.0 welcome')", 'accept', reply(250, '2.1.0 welcome')],
  ["reject(550, '5.7.1 no')", 'reject', reply(550, '5.7.1 no')],
  ["disconnect(421, '4.7.0 bye')", 'disconnect', close(421, '4.7.0 bye')],
  ["discard('it is spam')", 'discard', dropped('550 5.7.0 it is spam')],
  ["discard('554 5.7.9 spam')", 'discard', dropped('554 5.7.9 spam')],
  // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field
  ['tarpit(2)', 'tarpit', { kind: 'tarpit', seconds: 2, then: goOn }],
]
export const permitted: { readonly [P in AnyPhase]: string } = {
  accept: 'proceed done accept reject disconnect tarpit',
  connected: 'proceed done accept reject disconnect tarpit',
  tls_parameters: 'proceed done reject disconnect tarpit',
  tls_verify: 'proceed done reject disconnect tarpit',
  host_verify: 'proceed done reject',
  auth_before: 'proceed done reject disconnect tarpit',
  auth_perform: 'proceed done accept reject tarpit',
  auth_failed: 'proceed done',
  each_rcpt_after: 'proceed done reject disconnect discard tarpit',
  final_validation: 'proceed done',
  rcptto_list: 'proceed done accept reject disconnect tarpit',
  rcptto_list_final: 'proceed done accept reject disconnect tarpit',
  final_validation2: 'proceed done reject disconnect tarpit',
  post_final_validation: 'proceed done',
  connect: 'proceed done accept reject disconnect tarpit',
  ehlo: 'proceed done accept reject disconnect tarpit',
  tls: 'proceed done disconnect tarpit',
  auth: 'proceed done accept reject disconnect tarpit',
  mailfrom: 'proceed done accept reject disconnect tarpit',
  rcptto: 'proceed done accept reject disconnect tarpit',
  data: 'proceed done accept reject disconnect discard tarpit',
  data_spool: 'proceed done accept reject disconnect discard tarpit',
  data_spool_each_rcpt: 'proceed done reject disconnect discard tarpit',
  set_binding: 'proceed done',
}

/**
 * The lines of JSON of every event that a log writes down: each field that src/events declares, and the keys that are made
 * of it. docs/json-lines.md is made from here. The names are an interface: what is here stays, more may come.
 */

import type { ConfigurationChange } from '../../events/configuration.ts'
import type {
  AuthenticationFact,
  DeliveryOutcome,
  OperatorAct,
  OperatorFact,
  OutOfBandBounce,
  Panic,
  Reception,
  Rejection,
} from '../../events/events.ts'
import type { OutboundTlsFacts } from '../../events/outbound-tls.ts'
import { formatMailbox } from '../../mail/address.ts'
import { bounceClass, bounceClassName } from '../../mail/bounce-class.ts'
import type { Envelope, Mailbox } from '../../mail/envelope.ts'
import { leftOut, shownContext } from './context.ts'
import { envelopeKeys } from './envelope-keys.ts'
import {
  bytes,
  configured,
  endpoint,
  integer,
  type JsonKey,
  type KeysOf,
  key,
  someBytes,
  someUnicode,
  timeOf,
} from './keys.ts'
import { MAX_DEED } from './text.ts'

/** Two keys with which every line begins. */
function head<E extends { readonly kind: string; readonly at: number }>(): {
  readonly kind: readonly JsonKey<E>[]
  readonly at: readonly JsonKey<E>[]
} {
  return {
    kind: [key('event', { meaning: 'what happened: the name of this section', value: ({ kind }) => kind })],
    at: [timeOf('time', ({ at }) => at, 'when, in UTC')],
  }
}

/** Of an event on a connection. */
function whoConnected<E extends Pick<Rejection, 'connectionId' | 'remote'>>(): {
  readonly connectionId: readonly JsonKey<E>[]
  readonly remote: readonly JsonKey<E>[]
} {
  return {
    connectionId: [
      bytes('connection', ({ connectionId }) => connectionId, 'id of the connection, as in decision records'),
    ],
    remote: endpoint('client', ({ remote }) => remote, {
      address: 'address of the client; empty on a UNIX socket',
      port: 'its port',
    }),
  }
}

const ofEnvelope: readonly JsonKey<{ readonly envelope: Envelope }>[] = Object.values(envelopeKeys)
  .flat()
  .map((each) => ({ ...each, value: ({ envelope }) => each.value(envelope) }))

const receptionKeys: KeysOf<Reception> = {
  ...head(),
  envelope: ofEnvelope,
  protocol: [
    bytes(
      'protocol',
      ({ protocol }) => protocol ?? 'esmtp',
      '`esmtp`, or `internal` for a message of our own',
    ),
  ],
  tls: [
    someBytes(
      'tls',
      ({ tls }) => tls,
      'who handed it over, as far as TLS says: `plaintext`, `anonymous`, `unverified` or `verified`',
    ),
  ],
}

const outboundTlsKeys: KeysOf<OutboundTlsFacts> = {
  demand: [someBytes('outbound_tls_demand', ({ demand }) => demand)],
  protocol: [someBytes('outbound_tls_protocol', ({ protocol }) => protocol)],
  cipher: [someBytes('outbound_tls_cipher', ({ cipher }) => cipher, 'OpenSSL’s name of the suite')],
  cipherAlgorithmBits: [],
  cipherUsedBits: [],
  verifiedBy: [someBytes('outbound_tls_verified_by', ({ verifiedBy }) => verifiedBy)],
  cause: [someBytes('outbound_tls_cause', ({ cause }) => cause)],
  subject: [someBytes('outbound_tls_subject', ({ subject }) => subject)],
  issuer: [someBytes('outbound_tls_issuer', ({ issuer }) => issuer, 'of the host’s certificate')],
}

const ofOutboundTls: readonly JsonKey<DeliveryOutcome>[] = Object.values(outboundTlsKeys)
  .flat()
  .map((each) => ({ ...each, value: ({ tls }) => (tls === undefined ? undefined : each.value(tls)) }))

const outcomeKeys: KeysOf<DeliveryOutcome> = {
  ...head(),
  envelope: [
    ...ofEnvelope,
    key('seconds_queued', {
      type: 'number',
      meaning: 'seconds since it was accepted, to the millisecond',
      // the clock may have been set back
      value: ({ at, envelope }) => Math.max(0, Math.round(at - envelope.receivedAt)) / 1000,
    }),
  ],
  connectionId: [bytes('outbound_connection', ({ connectionId }) => connectionId)],
  domain: [bytes('domain', ({ domain }) => domain)],
  bytes: [integer('bytes', ({ bytes: sent }) => sent)],
  retries: [integer('retries', ({ retries }) => retries)],
  stage: [integer('stage', ({ stage }) => stage)],
  remote: [someBytes('remote', ({ remote }) => remote)],
  text: [
    someBytes('text', ({ text }) => text),
    ...bounceKeys<DeliveryOutcome>(({ kind, text }) => (kind === 'delivery' ? undefined : text)),
  ],
  local: [someBytes('outbound_local', ({ local }) => local)],
  tls: ofOutboundTls,
}

const outOfBandKeys: KeysOf<OutOfBandBounce> = {
  ...head(),
  messageId: [bytes('message', ({ messageId }) => messageId, 'id of the report, which came in as a message')],
  batchId: [bytes('batch', ({ batchId }) => batchId, 'its batch id')],
  connectionId: [
    bytes('connection', ({ connectionId }) => connectionId, 'id of the connection on which it came'),
  ],
  recipient: addressKeys(
    'recipient',
    ({ recipient }) => recipient,
    'of the mail that it is about, if it says so',
  ),
  sender: addressKeys('sender', ({ sender }) => sender, 'of that mail: to which the report came'),
  bindingGroup: [configured('binding_group', ({ bindingGroup }) => bindingGroup, 'the binding group')],
  binding: [configured('binding', ({ binding }) => binding, 'the binding')],
  size: [integer('size', ({ size }) => size)],
  remote: [bytes('client', ({ remote }) => remote)],
  status: [someBytes('status', ({ status }) => status)],
  text: [
    someBytes('text', ({ text }) => text),
    ...bounceKeys<OutOfBandBounce>(({ text, status }) => `${text} ${status}`),
  ],
}

const rejectionKeys: KeysOf<Rejection> = {
  ...head(),
  ...whoConnected(),
  local: endpoint('local', ({ local }) => local, {
    address: 'the address that it reached',
    port: 'that one’s port',
  }),
  pathway: [configured('pathway', ({ pathway }) => pathway, 'its pathway')],
  pathwayGroup: [configured('pathway_group', ({ pathwayGroup }) => pathwayGroup, 'and that one’s group')],
  state: [bytes('state', ({ state }) => state)],
  code: [integer('code', ({ code }) => code, 'of the reply; 0 where there was none')],
  module: [configured('module', ({ module }) => module)],
  connectionContext: [
    key('connection_context', {
      type: 'object',
      meaning: 'values of the connection context by key, as many as there is room for',
      value: ({ connectionContext }) => shownContext(connectionContext),
    }),
    key('connection_context_left_out', {
      type: 'integer',
      optional: true,
      meaning: 'how many more there are',
      value: ({ connectionContext }) => leftOut(connectionContext),
    }),
  ],
  messageContext: [
    key('message_context', {
      type: 'object',
      meaning: 'values of the message context likewise',
      value: ({ messageContext }) => shownContext(messageContext),
    }),
    key('message_context_left_out', {
      type: 'integer',
      optional: true,
      meaning: 'how many more there are',
      value: ({ messageContext }) => leftOut(messageContext),
    }),
  ],
  text: [bytes('text', ({ text }) => text)],
}

const panicKeys: KeysOf<Panic> = {
  ...head(),
  level: [
    bytes('level', ({ level }) => level, '`debug`, `info`, `notice`, `warning`, `error` or `critical`'),
  ],
  module: [configured('module', ({ module }) => module)],
  text: [bytes('text', ({ text }) => text, 'what it is')],
}

const authenticationKeys: KeysOf<AuthenticationFact> = {
  ...head(),
  ...whoConnected(),
  listener: [configured('listener', ({ listener }) => listener, 'the Listen as configured')],
  mechanism: [bytes('mechanism', ({ mechanism }) => mechanism, 'such as `PLAIN`')],
  user: [bytes('user', ({ user }) => user, 'as the client gave it')],
  status: [
    bytes('status', ({ status }) => status, '`pass`, `fail`, `error`, or `timeout`: the client fell silent'),
  ],
  // what it says is whether there is a line at all
  account: [],
}

const operatorKeys: KeysOf<OperatorFact> = {
  ...head(),
  act: [bytes('act', ({ act }) => act, '`login`, `command` before it runs, or `end` of one')],
  listener: [configured('listener', ({ listener }) => listener)],
  remote: endpoint('client', ({ remote }) => remote, {
    address: 'where the operator is; empty on a UNIX socket',
    port: 'that one’s port',
  }),
  user: [bytes('user', ({ user }) => user, 'who')],
  good: [key('good', { type: 'boolean', optional: true, value: ({ good }) => good })],
  command: [someBytes('command', ({ command }) => command, undefined, MAX_DEED)],
  role: [someBytes('role', ({ role }) => role)],
}

const operatorActKeys: KeysOf<OperatorAct> = {
  ...head(),
  operator: [someUnicode('user', ({ operator }) => operator, 'who')],
  from: [someUnicode('from', ({ from }) => from)],
  act: [someUnicode('command', ({ act }) => act, undefined, MAX_DEED)],
  messages: [integer('messages', ({ messages }) => messages)],
  underWay: [integer('under_way', ({ underWay }) => underWay)],
  broken: [someUnicode('not_done', ({ broken }) => broken, 'why something was not done')],
}

const changeKeys: KeysOf<ConfigurationChange> = {
  ...head(),
  act: [
    bytes(
      'act',
      ({ act }) => act,
      '`set`, `unset`, `begun from scratch`, `dropped` (by a reload, or by the stop) or `saved` (a file of the configuration says so now)',
    ),
  ],
  operator: [someUnicode('user', ({ operator }) => operator, 'who')],
  from: [someUnicode('from', ({ from }) => from)],
  place: [someUnicode('place', ({ place }) => place)],
  scope: [someUnicode('scope', ({ scope }) => scope)],
  option: [someUnicode('option', ({ option }) => option)],
  before: [someUnicode('before', ({ before }) => before, undefined, MAX_DEED)],
  after: [someUnicode('after', ({ after }) => after, 'likewise, from now on', MAX_DEED)],
  warning: [someUnicode('warning', ({ warning }) => warning)],
}

/** Of types that fields of events have, by their names. */
export const nestedKeys = { Envelope: envelopeKeys, OutboundTlsFacts: outboundTlsKeys } as const

/** By the name of the type that declares the event. */
export const eventKeys = {
  Reception: receptionKeys,
  DeliveryOutcome: outcomeKeys,
  OutOfBandBounce: outOfBandKeys,
  Rejection: rejectionKeys,
  Panic: panicKeys,
  AuthenticationFact: authenticationKeys,
  OperatorFact: operatorKeys,
  OperatorAct: operatorActKeys,
  ConfigurationChange: changeKeys,
} as const

function addressKeys<E>(
  name: string,
  value: (event: E) => Mailbox | undefined,
  meaning: string,
): readonly JsonKey<E>[] {
  const address = (event: E): string | undefined => {
    const mailbox = value(event)
    return mailbox && formatMailbox(mailbox)
  }
  return [
    someBytes(name, address, meaning),
    someBytes(`${name}_domain`, (event) => value(event)?.domain, 'its domain'),
  ]
}

/** @param answer of a failure */
function bounceKeys<E>(answer: (event: E) => string | undefined): readonly JsonKey<E>[] {
  const classOf = (event: E): number | undefined => {
    const found = answer(event)
    return found === undefined ? undefined : bounceClass(found)
  }
  return [
    key('class', {
      type: 'integer',
      optional: true,
      meaning: 'class of a failure, as in the bouncelog',
      value: classOf,
    }),
    key('class_name', {
      optional: true,
      meaning: 'that in words',
      value: (event) => {
        const found = classOf(event)
        return found === undefined ? undefined : bounceClassName(found)
      },
    }),
  ]
}

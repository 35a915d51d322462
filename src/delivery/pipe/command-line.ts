/**
 * Macros → values, for the arguments and the environment of a program.
 *
 * The values are a stranger's. They are put in only as they stand on an allow-list: letters, digits and `. _ + = -` in a
 * local part, which starts with a letter, a digit or `_`; names in a domain. So a value cannot be an option, a path that
 * leads elsewhere, or anything that a shell would take for more than a word. What does not fit is refused, never changed.
 */

import type { PipeMacro, PipeSettings, Template } from '../../config/settings-delivery.ts'
import type { Envelope, Mailbox } from '../../mail/envelope.ts'

export interface CommandLine {
  readonly kind: 'command'
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

/** A value that cannot be put in, by whose it is. */
export interface Unfit {
  readonly kind: 'unfit'
  readonly whose: 'recipient' | 'sender'
}

type Values = (macro: PipeMacro) => string | undefined

export function commandLine(
  pipe: Pick<PipeSettings, 'arguments' | 'environment'>,
  envelope: Pick<Envelope, 'id' | 'sender' | 'recipient'>,
): CommandLine | Unfit {
  const values = valuesOf(envelope)
  const used = macrosOf(pipe)
  const unfit = used.find((macro) => values(macro) === undefined)
  if (unfit !== undefined)
    return { kind: 'unfit', whose: unfit.startsWith('sender') ? 'sender' : 'recipient' }
  return {
    kind: 'command',
    arguments: pipe.arguments.map((each) => expand(each, values)),
    environment: Object.fromEntries(
      Object.entries(pipe.environment).map(([name, each]) => [name, expand(each, values)]),
    ),
  }
}

/** Whether the program can be told of this recipient as far as it has to be. */
export function takesRecipient(
  pipe: Pick<PipeSettings, 'arguments' | 'environment'>,
  recipient: Mailbox,
): boolean {
  const values = valuesOf({ id: '', sender: undefined, recipient })
  return macrosOf(pipe).every((macro) => values(macro) !== undefined)
}

function macrosOf(pipe: Pick<PipeSettings, 'arguments' | 'environment'>): readonly PipeMacro[] {
  const templates = [...pipe.arguments, ...Object.values(pipe.environment)]
  return templates.flatMap(({ parts }) =>
    parts.flatMap((part) => (typeof part === 'string' ? [] : [part.macro])),
  )
}

function expand({ parts }: Template, values: Values): string {
  return parts.map((part) => (typeof part === 'string' ? part : (values(part.macro) ?? ''))).join('')
}

function valuesOf({ id, sender, recipient }: Pick<Envelope, 'id' | 'sender' | 'recipient'>): Values {
  const values: Readonly<Record<PipeMacro, string | undefined>> = {
    // our own
    id,
    // the null reverse path is nothing
    sender: sender === undefined ? '' : address(sender),
    sender_local: sender === undefined ? '' : localPart(sender),
    sender_domain: sender === undefined ? '' : domainName(sender),
    recipient: address(recipient),
    recipient_local: localPart(recipient),
    recipient_domain: domainName(recipient),
  }
  return (macro) => values[macro]
}

function address(mailbox: Mailbox): string | undefined {
  const [local, domain] = [localPart(mailbox), domainName(mailbox)]
  return local === undefined || domain === undefined ? undefined : `${local}@${domain}`
}

function localPart({ local }: Mailbox): string | undefined {
  return /^[A-Za-z0-9_][A-Za-z0-9._+=-]{0,63}$/.test(local) ? local : undefined
}

function domainName({ domain }: Mailbox): string | undefined {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/.test(domain) ? domain : undefined
}

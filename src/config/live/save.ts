/**
 * Writes changes from the console into the files of the configuration. Before the first octet is written it is known
 * that every file is as it was read, and that the files will say what is in force now and can be started with.
 */

import path from 'node:path'
import { ConfigError } from '../diagnostic.ts'
import { loadSettings } from '../load.ts'
import { type RecordedFiles, replaying } from '../recorded-files.ts'
import { readSource } from '../source.ts'
import { type LiveChange, lineWithoutPasswords } from './change.ts'
import { checkUnchanged, keepFile, modeOf, NotKeptError, refusalOf } from './keep-file.ts'
import { fingerprint, scopeTree } from './scope-tree.ts'
import { planWriteBack, type WriteBackPlan } from './write-back.ts'

export interface SaveInput {
  readonly main: string
  /** what was read, without changes */
  readonly record: RecordedFiles
  readonly changes: readonly LiveChange[]
  readonly localOnly: boolean
}

export interface Saved {
  readonly saved: WriteBackPlan['saved']
  readonly left: WriteBackPlan['left']
  /** the files as they are now */
  readonly record: RecordedFiles
  /** files that were written, in order */
  readonly files: readonly string[]
}

/** @throws ConfigError, NotKeptError; nothing is written then */
export async function saveChanges({ main, record, changes, localOnly }: SaveInput): Promise<Saved> {
  const plain = { ...record, changes: undefined }
  const plan = await planWriteBack({
    main,
    files: replaying(plain),
    changes,
    localOnly,
    refusal: refusalOf,
  })
  if (plan.texts.size === 0) return { ...plan, record: plain, files: [] }
  const after = withTexts(plain, plan.texts)
  await checkResult(main, { before: { ...record, changes }, after, plan })
  const oldText = (file: string): string | undefined => record.texts.get(path.resolve(file))
  for (const file of plan.texts.keys()) await checkUnchanged(file, oldText(file))
  const mode = await modeOf(main)
  const done = new Map<string, string>()
  for (const [file, text] of plan.texts) {
    try {
      await keepFile(file, { before: oldText(file), after: text, mode })
      done.set(file, text)
    } catch (error) {
      if (!(error instanceof NotKeptError) || done.size === 0) throw error
      return partly(plan, plain, { done, reason: error.message })
    }
  }
  return { ...plan, record: after, files: [...done.keys()] }
}

/** The disk let one file be written and not the next one: what is not whole in the files stays a change. */
function partly(
  plan: WriteBackPlan,
  plain: RecordedFiles,
  { done, reason }: { readonly done: ReadonlyMap<string, string>; readonly reason: string },
): Saved {
  const whole = (each: WriteBackPlan['saved'][number]): boolean => each.files.every((file) => done.has(file))
  const broken = plan.saved.filter((each) => !whole(each)).map(({ change }) => ({ change, reason }))
  return {
    saved: plan.saved.filter(whole),
    left: [...plan.left, ...broken].toSorted((a, b) => a.change.number - b.change.number),
    record: withTexts(plain, done),
    files: [...done.keys()],
  }
}

/** @throws ConfigError where the files would not do for a start, or would say something else */
async function checkResult(
  main: string,
  {
    before,
    after,
    plan,
  }: { readonly before: RecordedFiles; readonly after: RecordedFiles; readonly plan: WriteBackPlan },
): Promise<void> {
  const alone = await loadSettings(main, replaying(after))
  if (alone.settings === undefined) {
    const first = alone.diagnostics.find(({ severity }) => severity === 'error')
    const left = plan.left.map(({ change, reason }) => `${lineWithoutPasswords(change)}: ${reason}`)
    const message = ['the files could not be used at the next start with only a part of the changes', ...left]
    throw new ConfigError([
      {
        severity: 'error',
        message: `${message.join('; ')}${first === undefined ? '' : `; ${first.message}`}`,
      },
    ])
  }
  const changes = plan.left.map(({ change }) => change)
  const [now, then] = await Promise.all(
    [before, { ...after, changes }].map(async (files) =>
      fingerprint(scopeTree((await readSource(main, replaying(files))).statements)),
    ),
  )
  if (now !== then)
    throw new ConfigError([
      { severity: 'error', message: 'the files would not say what is in force: nothing was written' },
    ])
}

function withTexts(record: RecordedFiles, texts: ReadonlyMap<string, string>): RecordedFiles {
  const [all, kinds, identities] = [new Map(record.texts), new Map(record.kinds), new Map(record.identities)]
  for (const [name, text] of texts) {
    const file = path.resolve(name)
    all.set(file, text)
    kinds.set(file, 'file')
    if (!identities.has(file)) identities.set(file, file)
  }
  return { ...record, texts: all, kinds, identities }
}

/**
 * Other people's vulnerabilities and our own defence against each: the attack, the test that tries it, the file that
 * prevents it, and how to take the defence away, so that the test can be seen to fail.
 *
 * `docs/past-vulnerabilities.md` is made of it, and `scripts/mutations.ts` takes each defence away once.
 */

import type { Defence } from './defence.ts'
import { chainDefences } from './defences-chains.ts'
import { consoleDefences } from './defences-console.ts'
import { identityDefences } from './defences-identity.ts'
import { mailDefences } from './defences-mail.ts'
import { pageDefences } from './defences-page.ts'
import { sessionDefences } from './defences-sessions.ts'

export const defences: readonly Defence[] = [
  ...sessionDefences,
  ...identityDefences,
  ...chainDefences,
  ...mailDefences,
  ...pageDefences,
  ...consoleDefences,
]

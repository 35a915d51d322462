/**
 * `postern explain`: what a client would meet, step by step, without a connection.
 *
 * The session, the scopes, the verdict on the certificate, policy, the relay rule and the routes are the server's own;
 * only what would act outward is withheld and named. Nothing is listened on, nothing is written.
 */

import { ConfigError } from '../../config/diagnostic.ts'
import { loadSettings } from '../../config/load.ts'
import type { Settings } from '../../config/settings.ts'
import { isModuleScript } from '../../policy/typescript/load.ts'
import { readVersion } from '../version.ts'
import { type ExplainOptions, readClient, subjectOf } from './client.ts'
import type { Confinement } from './confinement.ts'
import { type Explanation, fromBytes, plain } from './document.ts'
import { prepare } from './prepared.ts'
import { Steps } from './step-builder.ts'
import { walk } from './walk.ts'

/**
 * @param confinement of this process; without one no policy in TypeScript is run
 * @throws ConfigError, UsageError
 */
export async function explain(
  file: string,
  options: ExplainOptions,
  confinement?: Confinement,
): Promise<Explanation> {
  const { settings, diagnostics } = await loadSettings(file)
  if (settings === undefined) throw new ConfigError(diagnostics)
  const client = await readClient(settings, options)
  if (confinement === undefined) refuseModules(settings)
  const steps = new Steps()
  confinement?.report((effect, values) => steps.withhold(effect, values, 'an error'))
  const prepared = await prepare({
    settings,
    steps,
    dns: options.dns === true,
    allowed: (work) => (confinement === undefined ? work() : confinement.allowed(work)),
  })
  try {
    const conclusion = await walk(client, prepared)
    const certificate = subjectOf(client.chain)
    return {
      version: 1,
      postern: readVersion(),
      configuration: plain(file),
      client: {
        listen: plain(client.listen.instance),
        address: client.address,
        ...(certificate === undefined ? {} : { certificate: fromBytes(certificate) }),
      },
      steps: steps.all,
      conclusion,
      withheld: steps.all.flatMap(({ withheld }) => withheld),
    }
  } finally {
    await prepared.close()
  }
}

/** Their code can do whatever this process can. */
function refuseModules({ scripts }: Settings): void {
  const module = scripts.find(isModuleScript)
  if (module === undefined) return
  const message = `script "${module.name}": policies in TypeScript are explained only in a confined process`
  throw new ConfigError([{ severity: 'error', message, at: module.at }])
}

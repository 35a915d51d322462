/**
 * A rolling restart at an operator's word: one worker after the other drains, ends and is replaced, with the same
 * partitions and the configuration in force; the others take mail meanwhile. It stops where a replacement does not come up
 * and where another worker is missing, so that at no time somebody is told to end who would be the last one.
 */

import { ConsoleError } from '../console/answer.ts'
import type { Crew } from './crew.ts'

export class RollingRestart {
  readonly #crew: Crew
  #underWay = false

  constructor(crew: Crew) {
    this.#crew = crew
  }

  /** @returns how many were restarted: all. @throws ConsoleError, which says how far it came */
  async run(): Promise<number> {
    const { size } = this.#crew
    if (size < 2)
      throw new ConsoleError('the only worker cannot be restarted without refusing connections meanwhile')
    if (this.#underWay) throw new ConsoleError('a rolling restart is under way already')
    this.#underWay = true
    try {
      for (let index = 0; index < size; index++) await this.#one(index)
    } finally {
      this.#underWay = false
    }
    return size
  }

  async #one(index: number): Promise<void> {
    const sofar = `${index} of ${this.#crew.size} workers were restarted`
    try {
      await this.#crew.restart(index)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new ConsoleError(`${sofar}, the others go on as they were: ${why}`)
    }
  }
}

// The order in which vitest starts test files: the longest first, so that none of them is left alone at the end, when the other cores have
// nothing to do. In a fresh clone vitest knows only how large they are, and the longest are small: their work is elsewhere.
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Seconds by file, of those that take long, as a whole run with SPILLWAY_TIMES=write measured them. */
const timesFile = new URL('times.json', import.meta.url)

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const times = JSON.parse(readFileSync(timesFile, 'utf8')) as Readonly<Record<string, number>>
    const seconds = ({ moduleId }: TestSpecification) => times[relative(this.ctx.config.root, moduleId)] ?? 0
    // Of the same time: as vitest has them.
    return (await super.sort(files)).sort((a, b) => seconds(b) - seconds(a))
  }
}

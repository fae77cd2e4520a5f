// A message that kills every process that handles it, and the innocent ones that were claimed with it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { open } from '../../src/index.ts'
import { journalFile, poison, work } from './poison-queue.ts'

const innocents = Array.from({ length: 20 }, (_, n) => `innocent-${n}`)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'poison-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** How a worker ended: its exit code, or the signal that killed it. */
async function runWorker(concurrency: number): Promise<number | string> {
  const worker = spawn(process.execPath, [join(import.meta.dirname, 'poison.ts'), folder, `${concurrency}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code, signal] = (await once(worker, 'exit')) as [number | null, string | null]
  return signal ?? code!
}

test.each([
  ['begun beside it', 21, 0],
  ['begun beside it, though it came last', 21, 20],
  ['waiting behind it', 2, 1],
])(
  'a poison message ends as a dead letter; innocent ones %s lose one start at most',
  { timeout: 60_000 },
  async (_, concurrency, place) => {
    {
      await using spillway = await open(`sqlite:${folder}`)
      await (await spillway.queue(work)).sendMany(innocents.toSpliced(place, 0, poison))
    }
    const ends: (number | string)[] = []
    while (ends.at(-1) !== 0 && ends.length < 6) ends.push(await runWorker(concurrency))
    expect(ends).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL', 0])

    const starts = readFileSync(join(folder, journalFile), 'utf8').trimEnd().split('\n')
    expect(starts.filter((line) => line.startsWith(poison))).toEqual(['poison 1', 'poison 2', 'poison 3'])
    for (const name of innocents) {
      const own = starts.filter((line) => line.startsWith(`${name} `))
      expect(own.length).toBeGreaterThanOrEqual(1)
      expect(own.length).toBeLessThanOrEqual(2)
      expect(['1', '2']).toContain(own.at(-1)!.split(' ')[1])
    }
    await using spillway = await open(`sqlite:${folder}`)
    const queue = await spillway.queue(work)
    expect(await queue.deadLetters()).toMatchObject([
      { reason: expect.stringContaining('started 3 times and never settled') },
    ])
    expect(await queue.count()).toMatchObject({ ready: 0, delayed: 0, leased: 0, dead: 1 })
  },
)

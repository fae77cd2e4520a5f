// No promise resolves before its bytes are synced: after a power failure at any moment everything acknowledged is there.
// `kill -9` cannot show this, because it leaves what the operating system has not written yet.
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seeded } from '../crash/random.ts'
import { allOf, anyPart, cutToSynced, Disk, type Fate, onlySynced } from './power-failure.ts'
import { type Recording, Workshop, whyNot } from './recording.ts'
import type { Remark } from './remarks.ts'
import { reopen } from './reopened.ts'

const why = whyNot()
const random = seeded(9)
let workshop: Workshop

/** Lets the power fail at these entries (after each of them), and returns what was wrong, with the moment. */
async function failAt(
  { root, entries }: Recording,
  moments: ReadonlySet<number>,
  fate: (moment: number) => Fate,
): Promise<string[]> {
  const disk = new Disk(root)
  const remarks: Remark[] = []
  const problems: string[] = []
  for (const [moment, entry] of entries.entries()) {
    disk.apply(entry)
    if (entry.kind === 'marked') remarks.push(JSON.parse(entry.data.toString()) as Remark)
    if (!moments.has(moment)) continue
    const place = workshop.place()
    disk.fail(fate(moment), place)
    problems.push(...(await reopen(place, remarks)).map((problem) => `after entry ${moment}: ${problem}`))
    rmSync(place, { recursive: true, force: true })
  }
  return problems
}

function some<T>(items: readonly T[], count: number): Set<T> {
  return new Set(Array.from({ length: count }, () => random.pick(items)))
}

const acknowledgements = ({ entries }: Recording) =>
  [...entries.keys()].filter((moment) => entries[moment]!.kind === 'marked')
const allMoments = ({ entries }: Recording) => [...entries.keys()]
const inEngine = (path: string) => path.includes('/engine')

describe.skipIf(why !== undefined)(
  `durability of SQLite${why ? ` (not here: ${why})` : ''}`,
  { timeout: 120_000 },
  () => {
    let recording: Recording

    beforeAll(async () => {
      workshop = new Workshop()
      recording = await workshop.record('none')
    })
    afterAll(() => workshop?.[Symbol.dispose]())

    test('the record is one that proves something', () => {
      const { entries, root } = recording
      const paths = new Map(
        entries.filter(({ kind }) => kind === 'created').map(({ file, data }) => [file, data.toString()]),
      )
      for (const name of ['engine/spillway.db', 'desk/desk.db']) {
        const of = (path: string) => entries.filter(({ file }) => paths.get(file) === `${root}/${path}`)
        // The log is synced, copied back and begun anew; the database is synced in between.
        expect(of(`${name}-wal`).filter(({ kind }) => kind === 'synced').length).toBeGreaterThan(20)
        expect(
          of(`${name}-wal`).filter(({ kind, offset }) => kind === 'written' && offset === 0).length,
        ).toBeGreaterThan(3)
        expect(of(name).filter(({ kind }) => kind === 'written').length).toBeGreaterThan(20)
        expect(of(name).filter(({ kind }) => kind === 'synced').length).toBeGreaterThan(3)
      }
      expect(acknowledgements(recording).length).toBeGreaterThan(400)
    })

    test('everything acknowledged is there when only what is synced survives', async () => {
      const moments = some(acknowledgements(recording), 30).add(recording.entries.length - 1)
      expect(await failAt(recording, moments, () => onlySynced)).toEqual([])
    })

    test('and when any part of the rest survives, torn into sectors', async () => {
      expect(await failAt(recording, some(allMoments(recording), 30), () => anyPart(random))).toEqual([])
    })

    test('and when files are cut to their length at their last sync', async () => {
      expect(await failAt(recording, some(acknowledgements(recording), 10), () => cutToSynced)).toEqual([])
    })

    test('and when the system happened to write one of the files, and not the other', async () => {
      expect(await failAt(recording, some(allMoments(recording), 12), () => allOf(inEngine))).toEqual([])
      const inDatabase = (path: string) => !inEngine(path)
      expect(await failAt(recording, some(allMoments(recording), 10), () => allOf(inDatabase))).toEqual([])
    })

    test('what is left when the power fails, or the process dies, while the files are made can be opened', async () => {
      const { entries } = recording
      const logs = new Set(
        entries.filter(({ data }) => data.toString().endsWith('-wal')).map(({ file }) => file),
      )
      const first = entries.findIndex(({ kind }) => kind === 'marked')
      const making = allMoments(recording)
        .slice(0, first)
        .filter((moment) => entries[moment]!.kind !== 'written' || !logs.has(entries[moment]!.file))
      expect(making.length).toBeGreaterThan(30)
      expect(await failAt(recording, some(making, 24), () => onlySynced)).toEqual([])
      const killed = making.filter((moment) => entries[moment]!.kind === 'written')
      expect(await failAt(recording, some(killed, 6), () => allOf(() => true))).toEqual([])
    })

    test('a database in a folder that it made itself is there', async () => {
      const made = await workshop.record('none', true)
      expect(await failAt(made, some(acknowledgements(made), 3), () => onlySynced)).toEqual([])
    })

    test('an engine that does not sync is found out', async () => {
      const unsynced = await workshop.record('engine-unsynced')
      const problems = await failAt(unsynced, some(acknowledgements(unsynced), 8), () => onlySynced)
      expect(problems.join('\n')).toMatch(/was sent and is lost/)
      expect(problems.join('\n')).toMatch(/was appended and is not/)
      expect(problems.join('\n')).not.toMatch(/effect of unit/)
    })

    test('a database that does not sync is found out', async () => {
      const unsynced = await workshop.record('database-unsynced')
      const problems = await failAt(unsynced, some(acknowledgements(unsynced), 8), () => onlySynced)
      expect(problems.join('\n')).toMatch(/effect of unit \w+ is lost/)
      expect(problems.join('\n')).not.toMatch(/was sent and is lost/)
      // Its messages outlive it where the engine has them on the disk.
      const ghosts = await failAt(unsynced, some(acknowledgements(unsynced), 4), () => allOf(inEngine))
      expect(ghosts.join('\n')).toMatch(/its unit is not committed/)
    })
  },
)

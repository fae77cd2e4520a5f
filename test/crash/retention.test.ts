// Processes are killed while their streams are compacted and trimmed. Proved from what they were told: the last event of each key is there, no
// version is given twice, and no sequence of a producer is stored twice.
import { type ChildProcess, spawn } from 'node:child_process'
import { once as event } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import type { StreamPort, StreamRecord } from '../../src/ports/stream.ts'
import { systemPostgres } from '../servers/index.ts'
import { seeded } from './random.ts'
import {
  type Acknowledged,
  declareAll,
  journalOf,
  keys,
  once,
  openFor,
  type RetentionSpec,
  shared,
} from './worker/retention.ts'

const root = mkdtempSync(join(tmpdir(), 'spillway-crash-retention-'))
afterAll(() => rmSync(root, { recursive: true }))
const program = fileURLToPath(new URL('./worker/retention.ts', import.meta.url))
const crew = [
  { name: 'one', role: 'versions' },
  { name: 'two', role: 'versions' },
  { name: 'again', role: 'producer' },
] as const

function told(folder: string, name: string): Acknowledged[] {
  const path = journalOf(folder, name)
  if (!existsSync(path)) return []
  // The last line may have been cut off.
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Acknowledged)
}

/** What a producer knows of itself: it may have died while it repeated what it had appended before. */
function lastSequence(folder: string, name: string): number {
  return Math.max(0, ...told(folder, name).map(({ version }) => version))
}

async function start(spec: RetentionSpec): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, JSON.stringify(spec)],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  )
  await Promise.race([
    event(child, 'message'),
    event(child, 'exit').then(([code, signal]) => {
      throw new Error(`${spec.name} ended by itself: ${code ?? signal}`)
    }),
  ])
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null)
    throw new Error(`a worker ended by itself: ${child.exitCode ?? child.signalCode}`)
  const exit = event(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

async function readAll(port: StreamPort, stream: string): Promise<StreamRecord[]> {
  const start = (await port.bounds(stream)).map(({ partition }) => ({ partition, position: 0 }))
  return port.read(stream, start, { maxRecords: 1_000_000, maxBytes: 1 << 28, waitMs: 0 })
}

/** What is wrong after so many kills. */
async function findings(
  kills: number,
  seed: number,
  { url, plant }: Pick<RetentionSpec, 'url' | 'plant'>,
): Promise<string[]> {
  const folder = mkdtempSync(join(root, 'run-'))
  const random = seeded(seed)
  const startOf = ({ name, role }: (typeof crew)[number]) =>
    start({
      ...{ folder, name, role, seed: random.between(1, 2 ** 31) },
      last: lastSequence(folder, name),
      ...(url === undefined ? {} : { url }),
      ...(plant === undefined ? {} : { plant }),
    })
  const children: ChildProcess[] = []
  try {
    for (const each of crew) children.push(await startOf(each))
    for (let count = 0; count < kills; count++) {
      await delay(random.between(50, 500))
      // One after the other: each third time it is the producer, who alone repeats.
      const struck = count % crew.length
      await kill(children[struck]!)
      children[struck] = await startOf(crew[struck]!)
    }
    await delay(300)
    for (const child of children) await kill(child)
  } finally {
    for (const child of children) child.kill('SIGKILL')
  }
  return judge(folder, url)
}

async function judge(folder: string, url: string | undefined): Promise<string[]> {
  const found: string[] = []
  const engine = await openFor({ folder, ...(url === undefined ? {} : { url }) })
  const port = engine.stream!
  await declareAll(port)
  const acknowledged = [...told(folder, 'one'), ...told(folder, 'two')]
  const given = new Set<string>()
  for (const { key, version } of acknowledged) {
    if (given.has(`${key} ${version}`)) found.push(`version ${version} of ${key} was given twice`)
    given.add(`${key} ${version}`)
  }
  const left = await readAll(port, shared)
  for (const key of keys) {
    const ofKey = acknowledged.filter((each) => each.key === key)
    const last = ofKey.toSorted((a, b) => a.version - b.version).at(-1)
    if (last === undefined) {
      found.push(`nothing was appended under ${key}`)
      continue
    }
    const versions = left.filter((record) => record.key === key).map(({ version }) => version!)
    if (new Set(versions).size < versions.length) found.push(`a version of ${key} stands there twice`)
    const stands = left.find((record) => record.key === key && record.version === last.version)
    if (stands !== undefined && stands.body !== last.body) found.push(`${key} ${last.version} is another one`)
    const conflict = await port.append(shared, [{ partition: 0, key, body: '{}', expectedVersion: 0 }])
    const count = conflict.status === 'conflict' ? conflict.version : 0
    if (count < last.version) found.push(`${key} begins to count anew: ${count}, and not ${last.version}`)
    // One that was on its way, and stored without an answer, may have replaced it.
    if (!last.tombstone && stands === undefined && count === last.version)
      found.push(`the last event of ${key} is lost`)
  }
  const last = lastSequence(folder, 'again')
  const sequence = last + 10
  const producer = { id: 'again', sequence }
  for (const { body, version } of await readAll(port, once))
    if (Number(body) !== version) found.push(`sequence ${body} was stored as number ${version}`)
  const before = await port.append(once, [{ partition: 0, key: 'again', body: '{}', expectedVersion: 0 }])
  const after = await port.append(once, [{ partition: 0, key: 'again', body: '{}' }], { producer })
  const repeated = await port.append(once, [{ partition: 0, key: 'again', body: '{}' }], { producer })
  if (before.status !== 'conflict' || Math.abs(before.version - last) > 1)
    found.push(`${last} sequences are stored, and counted are ${JSON.stringify(before)}`)
  if (after.status !== 'appended' || repeated.status !== 'duplicate')
    found.push(`${after.status}, ${repeated.status}`)
  await engine.close()
  return found
}

const missing = await systemPostgres.missing()
describe('kill -9 beside compaction and trims', () => {
  test('sqlite', { timeout: 120_000 }, async () => {
    expect(await findings(9, 5, {})).toEqual([])
  })

  test.skipIf(missing !== undefined)(
    `${systemPostgres.name} ${missing ?? ''}`,
    { timeout: 120_000 },
    async () => {
      await using server = await systemPostgres.start()
      expect(await findings(9, 6, { url: server.url })).toEqual([])
    },
  )

  test.each([
    ['repeats', /sequence|counted/],
    ['loses', /is lost/],
  ] as const)('a planted fault is found: %s', { timeout: 120_000 }, async (plant, said) => {
    expect((await findings(3, 7, { plant })).join()).toMatch(said)
  })
})

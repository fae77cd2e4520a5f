// A worker process of the crash test of retention: appends to a stream that is compacted all the time, until it is killed. Two kinds:
// one expects versions of keys that others append to as well, the other one repeats its last appends, and trims.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { postgres } from '../../../src/engines/postgres/engine.ts'
import { sqlite } from '../../../src/engines/sqlite/engine.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { StreamPort } from '../../../src/ports/stream.ts'
import { type Random, seeded } from '../random.ts'

export interface RetentionSpec {
  /** Of PostgreSQL; without it SQLite in the folder. */
  readonly url?: string
  readonly folder: string
  readonly name: string
  readonly role: 'versions' | 'producer'
  readonly seed: number
  readonly plant?: 'repeats' | 'loses'
  /** Of a producer: the last that was acknowledged before. */
  readonly last: number
}

export interface Acknowledged {
  readonly key: string
  readonly version: number
  readonly body: string
  readonly tombstone: boolean
}

export const shared = 'shared'
export const once = 'once'
const partitions = 2
export const keys: readonly string[] = ['a', 'b', 'c', 'd', 'e']

export function openFor({ url, folder }: Pick<RetentionSpec, 'url' | 'folder'>): Promise<Engine> {
  const retentionEveryMs = 3
  return url === undefined
    ? sqlite({ path: join(folder, 'engine'), retentionEveryMs })
    : postgres({ url, retentionEveryMs, poolSize: 4 })
}

export async function declareAll(port: StreamPort): Promise<void> {
  for (const name of [shared, once])
    await port.declare({ name, partitions, versions: true, retention: { compact: { tombstonesMs: 0 } } })
}

export const journalOf = (folder: string, name: string): string => join(folder, `${name}.journal`)

async function expectVersions(port: StreamPort, spec: RetentionSpec, random: Random): Promise<void> {
  const known = new Map<string, number>()
  for (let number = 0; ; number++) {
    const key = random.pick(keys)
    const version = (known.get(key) ?? 0) + 1
    const tombstone = random.chance(0.1)
    const body = JSON.stringify(`${spec.name} ${spec.seed} ${number}`)
    const record = { partition: keys.indexOf(key) % partitions, key, body, tombstone }
    const result = await port.append(shared, [{ ...record, expectedVersion: version - 1 }])
    if (result.status === 'conflict') known.set(key, result.version)
    if (result.status !== 'appended') continue
    known.set(key, version)
    const told: Acknowledged = { key, version, body, tombstone }
    appendFileSync(journalOf(spec.folder, spec.name), `${JSON.stringify(told)}\n`)
    // Each time: a key that was appended to since would hide it.
    if (spec.plant !== 'loses') continue
    const [end] = (await port.bounds(shared)).filter(({ partition }) => partition === record.partition)
    await port.trim(shared, [{ partition: record.partition, position: end!.next }])
  }
}

/** The sequence is the body, and the version that it must get: of a key that nobody else has. */
async function repeat(port: StreamPort, spec: RetentionSpec, random: Random): Promise<void> {
  const key = spec.name
  const producer = (sequence: number) =>
    spec.plant === 'repeats' ? {} : { producer: { id: spec.name, sequence } }
  for (let sequence = Math.max(1, spec.last - 3); ; sequence++) {
    const record = { partition: 0, key, body: String(sequence), tombstone: random.chance(0.1) }
    await port.append(once, [record], producer(sequence))
    appendFileSync(
      journalOf(spec.folder, spec.name),
      `${JSON.stringify({ key, version: sequence, body: record.body, tombstone: false } satisfies Acknowledged)}\n`,
    )
    if (!random.chance(0.05)) continue
    const { next } = (await port.bounds(once))[0]!
    await port.trim(once, [{ partition: 0, position: Math.max(0, next - random.between(0, 5)) }])
  }
}

if (import.meta.main) {
  // Nobody is left to stop us when the harness is gone.
  process.on('disconnect', () => process.exit(0))
  const spec = JSON.parse(process.argv[2]!) as RetentionSpec
  const { stream } = await openFor(spec)
  await declareAll(stream!)
  process.send!('ready')
  await (spec.role === 'versions' ? expectVersions : repeat)(stream!, spec, seeded(spec.seed))
}

// What every stream case starts from: a fresh stream, seen through two handles, and short ways to fill and to read it.
import assert from 'node:assert/strict'
import type {
  AppendRecord,
  PartitionPosition,
  ReadOptions,
  StreamPort,
  StreamRecord,
  StreamSpec,
} from '../../../ports/stream.ts'
import type { ConformanceCase } from '../case.ts'
import { fresh, numbers } from '../sample.ts'
import type { EngineSubject } from '../subject.ts'
import { soonMs, within } from '../wait.ts'

export type StreamCase = ConformanceCase<EngineSubject>

export interface StreamBench {
  readonly stream: string
  readonly one: StreamPort
  readonly two: StreamPort
}

export const manyRecords: ReadOptions = { maxRecords: 10_000, maxBytes: 64 * 1024 * 1024, waitMs: soonMs }
export const lookOnce: ReadOptions = { ...manyRecords, waitMs: 0 }

export async function streamBench(
  subject: EngineSubject,
  spec: Omit<StreamSpec, 'name'>,
): Promise<StreamBench> {
  const { one, two } = streamPorts(subject)
  const stream = fresh('stream')
  assert.deepEqual(await one.declare({ name: stream, ...spec }), { partitions: spec.partitions })
  return { stream, one, two }
}

export function streamPorts(subject: EngineSubject): { readonly one: StreamPort; readonly two: StreamPort } {
  const { one, two } = subject
  assert.ok(one.stream && two.stream, 'both handles carry the stream port')
  return { one: one.stream, two: two.stream }
}

/** Records for a partition with bodies `prefix0`, `prefix1`, … */
export function records(count: number, partition = 0, prefix = 'r'): AppendRecord[] {
  return numbers(count).map((index) => ({ partition, body: `"${prefix}${index}"` }))
}

/** Appends and resolves with the positions; a conflict fails the case. */
export async function appended(
  port: StreamPort,
  stream: string,
  list: readonly AppendRecord[],
): Promise<readonly number[]> {
  const result = await port.append(stream, list)
  assert.equal(result.status, 'appended')
  if (result.status !== 'appended') return []
  assert.equal(result.positions.length, list.length)
  return result.positions
}

/** Where every partition of a stream starts. */
export function starts(partitions: number): PartitionPosition[] {
  return numbers(partitions).map((partition) => ({ partition, position: 0 }))
}

/** A cursor over some partitions: each call reads on from where the one before ended, and checks the order. */
export class Cursor {
  readonly #port: StreamPort
  readonly #stream: string
  readonly #next: Map<number, number>

  constructor(port: StreamPort, stream: string, from: readonly PartitionPosition[]) {
    this.#port = port
    this.#stream = stream
    this.#next = new Map(from.map(({ partition, position }) => [partition, position]))
  }

  async read(options: Partial<ReadOptions> = {}): Promise<StreamRecord[]> {
    const from = [...this.#next].map(([partition, position]) => ({ partition, position }))
    const settings = { ...manyRecords, ...options }
    const found = await within(
      settings.waitMs + soonMs,
      'a read',
      this.#port.read(this.#stream, from, settings),
    )
    for (const { partition, position } of found) {
      const next = this.#next.get(partition)
      assert.ok(next !== undefined, `partition ${partition} was not asked for`)
      assert.ok(position >= next, `position ${position} of partition ${partition} comes after ${next - 1}`)
      assert.ok(Number.isSafeInteger(position))
      this.#next.set(partition, position + 1)
    }
    return found
  }

  /** Reads until `count` records have come; fails when they do not. */
  async take(count: number, options: Partial<ReadOptions> = {}): Promise<StreamRecord[]> {
    const taken: StreamRecord[] = []
    while (taken.length < count) {
      const batch = await this.read(options)
      if (batch.length === 0) break
      taken.push(...batch)
    }
    assert.equal(taken.length, count, `${count} records can be read`)
    return taken
  }
}

export async function readAll(
  port: StreamPort,
  stream: string,
  partitions: number,
  count: number,
): Promise<StreamRecord[]> {
  const cursor = new Cursor(port, stream, starts(partitions))
  const found = await cursor.take(count)
  assert.deepEqual(bodies(await cursor.read({ waitMs: 0 })), [], 'and nothing else')
  return found
}

export function bodies(list: readonly { readonly body: string }[]): string[] {
  return list.map(({ body }) => body)
}

/** The records of one partition, in the order in which they came. */
export function inPartition<R extends { readonly partition: number }>(
  list: readonly R[],
  partition: number,
): R[] {
  return list.filter((record) => record.partition === partition)
}

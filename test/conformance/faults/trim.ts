// Faults of trimming, planted in front of the in-memory engine.
import type { Engine } from '../../../src/ports/engine.ts'
import type { StreamPort } from '../../../src/ports/stream.ts'
import { type Fault, streamFault } from './fault.ts'
import { whole } from './stream.ts'

/** What a trim of this port does with the positions, changed. */
function trims(change: (position: number, port: StreamPort) => number) {
  return () =>
    (port: StreamPort): Partial<StreamPort> => ({
      trim: (stream, below) =>
        port.trim(
          stream,
          below.map(({ partition, position }) => ({ partition, position: change(position, port) })),
        ),
    })
}

export const trimFaults: readonly Fault<Engine>[] = [
  streamFault(
    'trimming takes the record at the position too',
    ['stream.trim.below', 'stream.trim.reads-from-earliest', 'stream.trim.versions'],
    trims((position) => position + 1),
  ),
  streamFault(
    'trimming takes thousands at a time',
    ['stream.trim.below', 'stream.trim.much'],
    trims((position) => position - (position % 1_000)),
  ),
  streamFault('what is trimmed is told as if it were there', ['stream.bounds.complete'], () => (port) => ({
    bounds: async (stream) => (await port.bounds(stream)).map((each) => ({ ...each, completeFrom: 0 })),
  })),
  streamFault(
    'a partition begins above where it began',
    ['stream.bounds.complete', 'stream.bounds.every-partition'],
    () => (port) => ({
      bounds: async (stream) =>
        (await port.bounds(stream)).map((each) =>
          each.earliest < each.next ? { ...each, earliest: each.earliest + 1 } : each,
        ),
    }),
  ),
  streamFault(
    'versions are counted by what is left of a key',
    ['stream.trim.versions-elsewhere'],
    () => (port) => ({
      async append(stream, list, options) {
        const [{ key, expectedVersion } = {}] = list
        if (expectedVersion === undefined) return port.append(stream, list, options)
        const left = await port.readKey(stream, key!, { fromVersion: 1, limit: 1_000 })
        const version = left.at(-1)?.version ?? 0
        if (version !== expectedVersion) return { status: 'conflict', index: 0, version }
        return port.append(stream, list, options)
      },
    }),
  ),
  streamFault('who had read all is told of a gap', ['stream.trim.caught-up'], () => (port) => ({
    bounds: async (stream) =>
      (await port.bounds(stream)).map(({ completeFrom: _, ...each }) =>
        each.earliest > 0 ? { ...each, completeFrom: each.earliest + 1 } : each,
      ),
  })),
  streamFault('trimming takes every partition', ['stream.trim.below'], () => (port) => ({
    async trim(stream, below) {
      const all = await port.bounds(stream)
      await port.trim(
        stream,
        all.map(({ partition }) => ({ partition, position: below[0]?.position ?? 0 })),
      )
    },
  })),
  streamFault(
    'a reader below the earliest gets nothing',
    ['stream.trim.reads-from-earliest'],
    () => (port) => ({
      async read(stream, from, options) {
        const bounds = await port.bounds(stream)
        const kept = from.filter(({ partition, position }) => position >= bounds[partition]!.earliest)
        return port.read(stream, kept, { ...options, waitMs: Math.min(options.waitMs, 100) })
      },
    }),
  ),
  streamFault('a position above the end is where the stream goes on', ['stream.trim.everything'], () => {
    const ends = new Map<string, number>()
    const end = (stream: string, partition: number) => ends.get(`${stream}/${partition}`) ?? 0
    return (port) => ({
      async trim(stream, below) {
        await port.trim(stream, below)
        for (const { partition, position } of below) ends.set(`${stream}/${partition}`, position)
      },
      bounds: async (stream) =>
        (await port.bounds(stream)).map((each) => ({
          ...each,
          next: Math.max(each.next, end(stream, each.partition)),
        })),
    })
  }),
  streamFault('a position above the end is passed over', ['stream.trim.everything'], () => (port) => ({
    async trim(stream, below) {
      const bounds = await port.bounds(stream)
      await port.trim(
        stream,
        below.filter(({ partition, position }) => position <= bounds[partition]!.next),
      )
    },
  })),
  streamFault('what was trimmed comes back when less is trimmed', ['stream.trim.again'], () => {
    const floors = new Map<string, number>()
    return (port) => ({
      async trim(stream, below) {
        for (const { partition, position } of below) floors.set(`${stream}/${partition}`, position)
      },
      read: async (stream, from, options) =>
        port.read(
          stream,
          from.map(({ partition, position }) => ({
            partition,
            position: Math.max(position, floors.get(`${stream}/${partition}`) ?? 0),
          })),
          options,
        ),
    })
  }),
  streamFault('a trim ends the reads that wait', ['stream.trim.waiting'], () => {
    const waiting = new Set<AbortController>()
    return (port) => ({
      async read(stream, from, options) {
        const cut = new AbortController()
        waiting.add(cut)
        const found = await port.read(stream, from, { ...options, signal: cut.signal })
        waiting.delete(cut)
        return found
      },
      async trim(stream, below) {
        await port.trim(stream, below)
        for (const cut of waiting) cut.abort()
      },
    })
  }),
  streamFault(
    'a trim forgets the versions of keys that are gone',
    ['stream.trim.versions'],
    () => (port) => ({
      async append(stream, list) {
        const kept = new Map<string, number>()
        for (const { key } of list)
          if (key !== undefined)
            kept.set(key, (await port.readKey(stream, key, { fromVersion: 1, limit: 1_000 })).length)
        for (const { key, expectedVersion } of list)
          if (
            key !== undefined &&
            expectedVersion !== undefined &&
            kept.get(key) === 0 &&
            expectedVersion > 0
          )
            return { status: 'conflict', index: 0, version: 0 }
        return port.append(stream, list)
      },
    }),
  ),
  streamFault('numbers that are none are trimmed as if they were', ['stream.trim.numbers'], trims(whole)),
]

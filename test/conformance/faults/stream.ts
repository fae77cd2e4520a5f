// Faults of a stream, planted in front of the in-memory engine.
import { setTimeout as delay } from 'node:timers/promises'
import { isSpillwayError, SpillwayError } from '../../../src/core/errors.ts'
import { missing } from '../../../src/ports/capability.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { AppendRecord, StreamPort, StreamRecord } from '../../../src/ports/stream.ts'
import { type Fault, streamFault } from './fault.ts'

/** What a read of this port really gives, changed. */
function found(change: (records: StreamRecord[]) => StreamRecord[]) {
  return (port: StreamPort): Partial<StreamPort> => ({
    read: async (stream, from, options) => change(await port.read(stream, from, options)),
  })
}

/** What is appended, changed. */
function appended(change: (records: readonly AppendRecord[]) => readonly AppendRecord[]) {
  return (port: StreamPort): Partial<StreamPort> => ({
    append: (stream, records, options) => port.append(stream, change(records), options),
  })
}

/** What a program that does not look makes of a number. */
export function whole(number: number): number {
  return Number.isSafeInteger(number) && number > 0 ? number : 0
}

export const declareFaults: readonly Fault<Engine>[] = [
  streamFault('every stream has one partition', ['stream.declare.makes'], () => (port) => ({
    async declare(spec) {
      await port.declare({ ...spec, partitions: 1 })
      return { partitions: spec.partitions }
    },
  })),
  streamFault(
    'an existing stream is said to have what was asked for',
    ['stream.declare.keeps', 'stream.declare.concurrent'],
    () => (port) => ({
      async declare(spec) {
        await port.declare(spec)
        return { partitions: spec.partitions }
      },
    }),
  ),
  streamFault('an unknown stream is made by appending to it', ['stream.unknown'], () => (port) => ({
    async append(stream, records) {
      await port.declare({ name: stream, partitions: 1 })
      return port.append(stream, records)
    },
  })),
  streamFault(
    'an unknown stream stays unknown to who asked for it',
    ['stream.unknown.then-declared'],
    () => (port) => {
      const unknown = new Set<string>()
      return {
        async append(stream, records) {
          try {
            if (unknown.has(stream)) throw new SpillwayError('UNKNOWN_STREAM', 'It was unknown before.')
            return await port.append(stream, records)
          } catch (error) {
            if (isSpillwayError(error, 'UNKNOWN_STREAM')) unknown.add(stream)
            throw error
          }
        },
      }
    },
  ),
  streamFault('a partition that does not exist is taken for the first', ['stream.numbers'], () => (port) => ({
    async append(stream, records) {
      const { length } = await port.bounds(stream)
      const known = (partition: number) => partition >= 0 && partition < length && Number.isInteger(partition)
      return port.append(
        stream,
        records.map((each) => (known(each.partition) ? each : { ...each, partition: 0 })),
      )
    },
  })),
  streamFault(
    'versions that cannot be changed are passed over',
    ['stream.declare.versions.fixed'],
    () => (port) => ({
      async declare(spec) {
        try {
          return await port.declare(spec)
        } catch (error) {
          if (isSpillwayError(error, 'CONFIGURATION')) return { partitions: spec.partitions }
          throw error
        }
      },
    }),
  ),
  streamFault('the shortest session is none', ['stream.limits'], () => (port) => ({
    limits: { ...port.limits, minSessionMs: 0 },
  })),
]

export const appendFaults: readonly Fault<Engine>[] = [
  streamFault('keys are not kept', ['stream.append.stores', 'stream.append.keys'], () =>
    appended((records) => records.map(({ key: _, ...record }) => record)),
  ),
  streamFault('bodies are stored as JSON values, not as texts', ['stream.append.bodies'], () =>
    appended((records) =>
      records.map((record) => ({ ...record, body: JSON.stringify(JSON.parse(record.body || 'null')) })),
    ),
  ),
  streamFault('a batch is stored in the order of its bodies', ['stream.append.order-within'], () =>
    appended((records) => [...records].sort((a, b) => (a.body < b.body ? -1 : 1))),
  ),
  streamFault('a later append overtakes an earlier one', ['stream.append.order-between'], () => {
    let appends = 0
    return (port) => ({
      async append(stream, records) {
        if (++appends % 3 !== 0) return port.append(stream, records)
        setTimeout(() => port.append(stream, records).catch(() => {}), 20)
        const [bounds] = await port.bounds(stream)
        return { status: 'appended', positions: records.map((_, index) => bounds!.next + index) }
      },
    })
  }),
  streamFault('positions are counted from 0 in every call', ['stream.append.concurrent'], () => (port) => ({
    async append(stream, records) {
      const result = await port.append(stream, records)
      return result.status === 'conflict'
        ? result
        : { ...result, positions: records.map((_, index) => index) }
    },
  })),
  streamFault('a record appears after those above it', ['stream.append.none-below'], () =>
    found((records) =>
      records.filter(({ position, appendedAt }) => position % 5 > 0 || Date.now() - appendedAt > 30),
    ),
  ),
  streamFault('a batch is cut off at 5,000', ['stream.append.many'], () => (port) => ({
    async append(stream, records) {
      const result = await port.append(stream, records.slice(0, 5_000))
      if (result.status !== 'appended') return result
      return { ...result, positions: records.map((_, index) => result.positions[index] ?? 0) }
    },
  })),
  streamFault('an empty batch is an error', ['stream.append.empty'], () => (port) => ({
    async append(stream, records) {
      if (records.length === 0) throw new Error('syntax error at or near ")"')
      return port.append(stream, records)
    },
  })),
  streamFault(
    'a batch is stored partition by partition',
    ['stream.append.too-large', 'stream.append.atomic'],
    () => (port) => ({
      async append(stream, records) {
        const positions: number[] = []
        for (const partition of new Set(records.map((record) => record.partition))) {
          const result = await port.append(
            stream,
            records.filter((record) => record.partition === partition),
          )
          if (result.status !== 'appended') return result
          positions.push(...result.positions)
          await delay(1)
        }
        return { status: 'appended', positions }
      },
    }),
  ),
  streamFault('a body of exactly the limit is refused', ['stream.append.just-fits'], () => (port) => ({
    async append(stream, records) {
      if (records.some(({ body }) => Buffer.byteLength(body) >= port.limits.maxBodyBytes))
        throw new SpillwayError('TOO_LARGE', 'A body is too large.')
      return port.append(stream, records)
    },
  })),
]

export const readFaults: readonly Fault<Engine>[] = [
  streamFault('reading begins after the position', ['stream.read.at-or-after'], () => (port) => ({
    read: (stream, from, options) =>
      port.read(
        stream,
        from.map(({ partition, position }) => ({ partition, position: position + 1 })),
        options,
      ),
  })),
  streamFault(
    'every partition is read from the first position that was given',
    ['stream.read.partitions'],
    () => (port) => ({
      read: (stream, from, options) =>
        port.read(
          stream,
          from.map(({ partition }) => ({ partition, position: from[0]!.position })),
          options,
        ),
    }),
  ),
  streamFault('a read gives twice as many', ['stream.read.max-records'], () => (port) => ({
    read: (stream, from, options) =>
      port.read(stream, from, { ...options, maxRecords: 2 * options.maxRecords }),
  })),
  streamFault(
    'a record that is larger than the read is never given',
    ['stream.read.max-bytes'],
    () => (port) => ({
      async read(stream, from, options) {
        const records = await port.read(stream, from, options)
        return records.filter(({ body }) => Buffer.byteLength(body) <= options.maxBytes)
      },
    }),
  ),
  streamFault('the bytes of a read are not bounded', ['stream.read.max-bytes'], () => (port) => ({
    read: (stream, from, options) => port.read(stream, from, { ...options, maxBytes: 1e9 }),
  })),
  streamFault(
    'a read waits half its time',
    ['stream.read.waits', 'stream.read.nothing-asked'],
    () => (port) => ({
      read: (stream, from, options) => port.read(stream, from, { ...options, waitMs: options.waitMs / 2 }),
    }),
  ),
  streamFault(
    'a waiting read looks again only at its end',
    ['stream.read.wakes', 'stream.read.wakes.all', 'stream.read.signal'],
    () => (port) => ({
      async read(stream, from, options) {
        const records = await port.read(stream, from, { ...options, waitMs: 0 })
        if (records.length > 0 || options.waitMs === 0) return records
        await delay(options.waitMs)
        return port.read(stream, from, { ...options, waitMs: 0 })
      },
    }),
  ),
  streamFault('a read waits for more', ['stream.read.with-what-there-is'], () => (port) => ({
    async read(stream, from, options) {
      await delay(Math.min(options.waitMs, 5_500))
      return port.read(stream, from, options)
    },
  })),
  streamFault('a position above the end is taken for the end', ['stream.read.above'], () => (port) => ({
    async read(stream, from, options) {
      const bounds = new Map((await port.bounds(stream)).map(({ partition, next }) => [partition, next]))
      return port.read(
        stream,
        from.map(({ partition, position }) => ({
          partition,
          position: Math.min(position, bounds.get(partition) ?? position),
        })),
        options,
      )
    },
  })),
  streamFault(
    'the first partition that has records comes first',
    ['stream.read.takes-turns', 'stream.read.takes-turns.bytes'],
    () => (port) => ({
      async read(stream, from, options) {
        for (const one of from) {
          const records = await port.read(stream, [one], { ...options, waitMs: 0 })
          if (records.length > 0) return records
        }
        return port.read(stream, from, options)
      },
    }),
  ),
]

export const versionFaults: readonly Fault<Engine>[] = [
  streamFault(
    'versions are counted from 0',
    ['stream.versions.counted', 'stream.readKey.from'],
    () => (port) => ({
      ...found((records) =>
        records.map((each) => ({
          ...each,
          version: each.version === undefined ? undefined : each.version - 1,
        })),
      )(port),
      async readKey(stream, key, options) {
        const records = await port.readKey(stream, key, options)
        return records.map((each) => ({ ...each, version: each.version! - 1 }))
      },
    }),
  ),
  streamFault('an expected version is made one', ['stream.versions.numbers'], () =>
    appended((records) =>
      records.map((record) =>
        record.expectedVersion === undefined
          ? record
          : { ...record, expectedVersion: whole(record.expectedVersion) },
      ),
    ),
  ),
  streamFault('a key may be only once in a call', ['stream.versions.expected'], () => (port) => ({
    async append(stream, records) {
      const keys = records.flatMap(({ key }) => key ?? [])
      const index = keys.findIndex((key, place) => keys.indexOf(key) < place)
      return index < 0 ? port.append(stream, records) : { status: 'conflict', index, version: 0 }
    },
  })),
  streamFault(
    'expected versions are passed over',
    [
      'stream.versions.conflict',
      'stream.versions.race',
      'stream.versions.increments',
      'stream.versions.not-kept',
      'stream.versions.needs-key',
      'stream.versions.whole-stream',
    ],
    () => appended((records) => records.map(({ expectedVersion: _, ...record }) => record)),
  ),
  streamFault(
    'what was before a conflict in its call is stored',
    ['stream.versions.conflict'],
    () => (port) => ({
      async append(stream, records) {
        const result = await port.append(stream, records)
        if (result.status === 'conflict' && result.index > 0)
          await port.append(stream, records.slice(0, result.index))
        return result
      },
    }),
  ),
  streamFault('versions are checked, then appended', ['stream.versions.race'], () => (port) => ({
    async append(stream, records) {
      for (const [index, { key, expectedVersion }] of records.entries()) {
        if (key === undefined || expectedVersion === undefined) continue
        const { length } = await port.readKey(stream, key, { fromVersion: 1, limit: 1_000 })
        if (length !== expectedVersion) return { status: 'conflict', index, version: length }
      }
      await delay(2)
      return port.append(
        stream,
        records.map(({ expectedVersion: _, ...record }) => record),
      )
    },
  })),
  streamFault('readKey gives everything of the key', ['stream.readKey.from'], () => (port) => ({
    readKey: (stream, key) => port.readKey(stream, key, { fromVersion: 1, limit: 1_000 }),
  })),
  streamFault('keys that look alike are one', ['stream.readKey.keys'], () => (port) => ({
    append: (stream, records) =>
      port.append(
        stream,
        records.map(({ key, ...record }) =>
          key === undefined ? record : { ...record, key: key.normalize() },
        ),
      ),
    readKey: (stream, key, options) => port.readKey(stream, key.normalize(), options),
  })),
]

/** An engine that does not have `versions`, and refuses it as it must. */
export const withoutVersions: Fault<Engine> = streamFault(
  'no fault: versions are missing, and refused',
  [],
  () =>
    (port, { name }) => ({
      capabilities: { ...port.capabilities, versions: false },
      async declare(spec) {
        if (spec.versions) throw missing(name, 'stream', 'versions')
        return port.declare(spec)
      },
      async append(stream, records) {
        if (records.some(({ expectedVersion }) => expectedVersion !== undefined))
          throw missing(name, 'stream', 'versions')
        return port.append(stream, records)
      },
      async readKey() {
        throw missing(name, 'stream', 'versions')
      },
    }),
)

export const missingVersionsFaults: readonly Fault<Engine>[] = [
  streamFault(
    'versions are missing, and asking for them is passed over',
    ['stream.declare.versions.missing', 'stream.versions.missing'],
    () => (port) => ({
      capabilities: { ...port.capabilities, versions: false },
      declare: ({ versions: _, ...spec }) => port.declare(spec),
      ...appended((records) => records.map(({ expectedVersion: _, ...record }) => record))(port),
    }),
  ),
  streamFault(
    'versions are missing, and the error does not say who has them',
    ['stream.declare.versions.missing'],
    () =>
      (port, { name }) => ({
        capabilities: { ...port.capabilities, versions: false },
        async declare(spec) {
          if (spec.versions)
            throw new SpillwayError('CAPABILITY_MISSING', `'${name}' cannot.`, { engine: name })
          return port.declare(spec)
        },
      }),
  ),
]

export const boundsFaults: readonly Fault<Engine>[] = [
  streamFault(
    'next is the last position',
    ['stream.bounds.every-partition', 'stream.bounds.next-skips-nothing'],
    () => (port) => ({
      async bounds(stream) {
        const bounds = await port.bounds(stream)
        return bounds.map((each) => ({
          ...each,
          next: each.next > each.earliest ? each.next - 1 : each.next,
        }))
      },
    }),
  ),
  streamFault(
    'partitions without records have no bounds',
    ['stream.bounds.every-partition'],
    () => (port) => ({
      bounds: async (stream) => (await port.bounds(stream)).filter(({ earliest, next }) => next > earliest),
    }),
  ),
  streamFault('next is the end of the longest partition', ['stream.bounds.behind-last'], () => (port) => ({
    async bounds(stream) {
      const bounds = await port.bounds(stream)
      const end = Math.max(...bounds.map(({ next }) => next))
      return bounds.map((each) => (each.next > each.earliest ? { ...each, next: end } : each))
    },
  })),
  streamFault('a time is found after it, not at it', ['stream.positionsAt.first'], () => (port) => ({
    positionsAt: (stream, time) => port.positionsAt(stream, time + 1),
  })),
]

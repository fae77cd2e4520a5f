// Faults of compaction, planted in front of the in-memory engine.
import { missing } from '../../../src/ports/capability.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { Retention } from '../../../src/ports/retention.ts'
import type { StreamPort, StreamRecord } from '../../../src/ports/stream.ts'
import { type Fault, streamFault } from './fault.ts'

function declares(change: (retention: Retention | undefined) => Retention | undefined) {
  return () =>
    (port: StreamPort): Partial<StreamPort> => ({
      declare: (spec) => port.declare({ ...spec, retention: change(spec.retention) }),
    })
}

/** What a read gives once something was compacted, changed. */
function found(change: (records: StreamRecord[]) => StreamRecord[]) {
  return () =>
    (port: StreamPort): Partial<StreamPort> => ({
      read: async (stream, from, options) => change(await port.read(stream, from, options)),
    })
}

export const compactFaults: readonly Fault<Engine>[] = [
  streamFault(
    'nothing is compacted',
    ['stream.compact.last', 'stream.compact.tombstone', 'stream.compact.versions', 'stream.compact.changes'],
    declares((retention) => retention && {}),
  ),
  streamFault(
    'tombstones go at once',
    ['stream.compact.last'],
    declares((retention) => (retention?.compact ? { compact: { tombstonesMs: 0 } } : retention)),
  ),
  streamFault(
    'tombstones stay for ever',
    ['stream.compact.tombstone', 'stream.compact.versions'],
    () => (port) => ({
      append: (stream, list, options) =>
        port.append(
          stream,
          list.map(({ tombstone: _, ...record }) => record),
          options,
        ),
    }),
  ),
  streamFault('a tombstone takes its key with it, whatever comes after', ['stream.compact.last'], () => {
    const gone = new Set<string | undefined>()
    return (port) => ({
      async append(stream, list, options) {
        for (const { key, tombstone } of list) if (tombstone) gone.add(`${stream} ${key}`)
        return port.append(stream, list, options)
      },
      read: async (stream, from, options) =>
        (await port.read(stream, from, options)).filter(({ key }) => !gone.has(`${stream} ${key}`)),
    })
  }),
  streamFault(
    'what is left moves together',
    ['stream.compact.last'],
    found((records) => {
      const low = records[0]?.position ?? 0
      return records.map((record, index) => ({ ...record, position: low + index }))
    }),
  ),
  streamFault('the first of each key stays', ['stream.compact.last', 'stream.compact.tombstone'], () => {
    const first = new Map<string, string>()
    return (port) => ({
      async append(stream, list, options) {
        for (const { key, body } of list)
          if (!first.has(`${stream} ${key}`)) first.set(`${stream} ${key}`, body)
        return port.append(stream, list, options)
      },
      read: async (stream, from, options) =>
        (await port.read(stream, from, options)).map((record) => ({
          ...record,
          body: first.get(`${stream} ${record.key}`) ?? record.body,
        })),
    })
  }),
  streamFault(
    'who begins where nothing is left passes over the next one',
    ['stream.compact.behind'],
    () => (port) => ({
      async read(stream, from, options) {
        const found = await port.read(stream, from, options)
        const isGap = found.length > 1 && found[0]!.position > from[0]!.position
        return isGap ? found.slice(1) : found
      },
    }),
  ),
  streamFault('what compaction took counts as trimmed', ['stream.compact.behind'], () => (port) => ({
    bounds: async (stream) => (await port.bounds(stream)).map(({ completeFrom: _, ...bounds }) => bounds),
  })),
  streamFault(
    'who reads in small pages misses the last of a key',
    ['stream.compact.beside'],
    () => (port) => ({
      async read(stream, from, options) {
        const found = await port.read(stream, from, options)
        return options.maxRecords > 3
          ? found
          : found.map((record) => (record.body === '39' ? { ...record, body: '38' } : record))
      },
    }),
  ),
  streamFault(
    'a tombstone at the end goes too',
    ['stream.compact.end'],
    found((records) => (records.at(-1)?.body === '"last"' ? records.slice(0, -1) : records)),
  ),
  streamFault(
    'producers are forgotten with what they appended',
    ['stream.compact.producers'],
    () => (port) => ({
      async append(stream, list, options) {
        const isGone = (await port.bounds(stream))[0]!.earliest > 0
        return port.append(stream, list, isGone ? {} : options)
      },
    }),
  ),
  streamFault('every stream is compacted', ['stream.compact.changes'], () => (port) => ({
    declare: ({ retention, ...spec }) =>
      port.declare({ ...spec, retention: retention ?? { compact: { tombstonesMs: 0 } } }),
  })),
  streamFault('the version of a key that is gone begins anew', ['stream.compact.versions'], () => (port) => ({
    async append(stream, list, options) {
      const [first] = list
      const fresh =
        first?.expectedVersion === 0 &&
        (await port.readKey(stream, first.key!, { fromVersion: 1, limit: 1 })).length === 0
      const { expectedVersion: _, ...record } = first ?? { partition: 0, body: '' }
      return port.append(stream, fresh ? [record, ...list.slice(1)] : list, options)
    },
  })),
  streamFault('versions that are gone count within a limit', ['stream.compact.versions'], () => (port) => ({
    async readKey(stream, key, options) {
      const beyond = options.fromVersion + options.limit
      return (await port.readKey(stream, key, options)).filter(({ version }) => version! < beyond)
    },
  })),
  streamFault('limits beside a compaction are passed over', ['stream.compact.numbers'], () => (port) => ({
    declare: (spec) =>
      port.declare({
        ...spec,
        retention: spec.retention?.compact ? { compact: spec.retention.compact } : spec.retention,
      }),
  })),
]

export const missingCompactionFaults: readonly Fault<Engine>[] = [
  streamFault(
    'compaction is missing, and asking for it is passed over',
    ['stream.compact.missing'],
    () => (port) => ({
      capabilities: { ...port.capabilities, compaction: false },
      declare: ({ retention, ...spec }) =>
        port.declare({ ...spec, retention: retention?.compact ? {} : retention }),
    }),
  ),
]

/** An engine that does not have `compaction`, and refuses it as it must. */
export const withoutCompaction: Fault<Engine> = streamFault(
  'no fault: compaction is missing, and refused',
  [],
  () =>
    (port, { name }) => ({
      capabilities: { ...port.capabilities, compaction: false },
      async declare(spec) {
        if (spec.retention?.compact) throw missing(name, 'stream', 'compaction')
        return port.declare(spec)
      },
    }),
)

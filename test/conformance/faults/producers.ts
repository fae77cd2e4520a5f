// Faults of appends that may be repeated, planted in front of the in-memory engine.
import { missing } from '../../../src/ports/capability.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { Producer } from '../../../src/ports/producer.ts'
import type { StreamPort } from '../../../src/ports/stream.ts'
import { type Fault, streamFault } from './fault.ts'
import { whole } from './stream.ts'

/** What an append says of its producer, changed. */
function produces(change: (producer: Producer, stream: string) => Producer | undefined) {
  return () =>
    (port: StreamPort): Partial<StreamPort> => ({
      append: (stream, records, { producer } = {}) =>
        port.append(stream, records, { producer: producer && change(producer, stream) }),
    })
}

export const producerFaults: readonly Fault<Engine>[] = [
  streamFault(
    'no producer is known',
    ['stream.producers.repeated', 'stream.producers.rise', 'stream.producers.race'],
    produces(() => undefined),
  ),
  streamFault(
    'all producers are one',
    ['stream.producers.apart'],
    produces((producer) => ({ ...producer, id: 'p' })),
  ),
  streamFault(
    'sequences have no gaps',
    ['stream.producers.rise'],
    produces((producer) => ({ ...producer, sequence: Math.min(producer.sequence, 2) })),
  ),
  streamFault(
    'each process knows its own producers',
    ['stream.producers.repeated', 'stream.producers.race'],
    () => {
      let handles = 0
      return (port) => {
        const handle = ++handles
        return {
          append: (stream, records, { producer } = {}) =>
            port.append(stream, records, {
              producer: producer && { ...producer, id: `${producer.id} ${handle}` },
            }),
        }
      }
    },
  ),
  streamFault('the sequence is stored before the records', ['stream.producers.refused'], () => {
    const last = new Map<string, number>()
    return (port) => ({
      async append(stream, records, { producer } = {}) {
        if (!producer || !(producer.sequence >= 0)) return port.append(stream, records, { producer })
        const name = `${stream} ${producer.id}`
        const sequence = last.get(name) ?? -1
        if (producer.sequence <= sequence) return { status: 'duplicate', sequence }
        last.set(name, producer.sequence)
        return port.append(stream, records)
      },
    })
  }),
  streamFault('a conflict counts as stored', ['stream.producers.with-versions'], () => {
    const conflicts = new Map<string, number>()
    return (port) => ({
      async append(stream, records, { producer } = {}) {
        const sequence = producer && conflicts.get(`${stream} ${producer.id}`)
        if (producer && sequence !== undefined && producer.sequence <= sequence)
          return { status: 'duplicate', sequence }
        const result = await port.append(stream, records, { producer })
        if (producer && result.status === 'conflict')
          conflicts.set(`${stream} ${producer.id}`, producer.sequence)
        return result
      },
    })
  }),
  streamFault('versions are looked at first', ['stream.producers.with-versions'], () => (port) => ({
    async append(stream, records, options) {
      const probe = records.map((record) => ({ ...record, partition: record.partition }))
      const [first] = probe
      if (first?.key !== undefined && first.expectedVersion !== undefined) {
        const known = await port.readKey(stream, first.key, { fromVersion: 1, limit: 100 })
        if (known.length !== first.expectedVersion)
          return { status: 'conflict', index: 0, version: known.length }
      }
      return port.append(stream, records, options)
    },
  })),
  streamFault(
    'numbers that are none are taken for others',
    ['stream.producers.refused'],
    produces(({ id, sequence }) => ({ id: id === '' ? 'p' : id.slice(0, 200), sequence: whole(sequence) })),
  ),
]

export const missingProducersFaults: readonly Fault<Engine>[] = [
  streamFault(
    'producers are missing, and naming one is passed over',
    ['stream.producers.missing'],
    () => (port) => ({
      capabilities: { ...port.capabilities, producers: false },
      append: (stream, records) => port.append(stream, records),
    }),
  ),
]

/** An engine that does not have `producers`, and refuses them as it must. */
export const withoutProducers: Fault<Engine> = streamFault(
  'no fault: producers are missing, and refused',
  [],
  () =>
    (port, { name }) => ({
      capabilities: { ...port.capabilities, producers: false },
      async append(stream, records, { producer } = {}) {
        if (producer) throw missing(name, 'stream', 'producers')
        return port.append(stream, records)
      },
    }),
)

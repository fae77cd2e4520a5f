// Faults of retention, planted in front of the in-memory engine.
import { isSpillwayError } from '../../../src/core/errors.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { Retention } from '../../../src/ports/retention.ts'
import type { StreamPort } from '../../../src/ports/stream.ts'
import { type Fault, streamFault } from './fault.ts'

/** What is declared to be kept, changed. */
function declares(change: (retention: Retention | undefined) => Retention | undefined) {
  return () =>
    (port: StreamPort): Partial<StreamPort> => ({
      declare: (spec) => port.declare({ ...spec, retention: change(spec.retention) }),
    })
}

export const retainFaults: readonly Fault<Engine>[] = [
  streamFault(
    'everything is kept, whatever was declared',
    ['stream.retain.age', 'stream.retain.bytes', 'stream.retain.changes'],
    declares((retention) => retention && {}),
  ),
  streamFault(
    'no age is looked at',
    ['stream.retain.age', 'stream.retain.changes'],
    declares((retention) => (retention?.maxBytes ? { maxBytes: retention.maxBytes } : retention && {})),
  ),
  streamFault(
    'half as many bytes are kept',
    ['stream.retain.bytes'],
    declares((retention) =>
      retention?.maxBytes ? { maxBytes: Math.ceil(retention.maxBytes / 2) } : retention,
    ),
  ),
  streamFault(
    'everything is kept for a second only',
    ['stream.retain.keeps'],
    declares((retention) => retention && { maxAgeMs: 1_000 }),
  ),
  streamFault(
    'declaring without a retention takes back the one there was',
    ['stream.retain.changes'],
    declares((retention) => retention ?? {}),
  ),
  streamFault('only the first declaration says what is kept', ['stream.retain.changes'], () => {
    const known = new Set<string>()
    return (port) => ({
      declare({ retention, ...spec }) {
        const first = !known.has(spec.name)
        known.add(spec.name)
        return port.declare(first ? { ...spec, retention } : spec)
      },
    })
  }),
  streamFault('limits that are none are none', ['stream.retain.numbers'], () => (port) => ({
    declare: async (spec) =>
      port.declare(spec).catch((thrown) => {
        if (!isSpillwayError(thrown, 'INVALID_OPTION')) throw thrown
        return port.declare({ ...spec, retention: undefined })
      }),
  })),
  streamFault('positions begin anew once nothing is left', ['stream.retain.age'], () => (port) => ({
    async append(stream, list) {
      const result = await port.append(stream, list)
      const bounds = await port.bounds(stream)
      if (result.status !== 'appended' || bounds.every(({ earliest }) => earliest === 0)) return result
      return { ...result, positions: result.positions.map((_, index) => index) }
    },
  })),
]

// Calls as metrics and in traces, by the OpenTelemetry API: nothing is measured or exported unless the program has set up an SDK, before `run`. It is loaded
// where somebody can be called, and nowhere else.
import { metrics, propagation, context as tracing } from '@opentelemetry/api'
import type { CallClient, CallEnded } from './client.ts'

export interface CallTelemetry {
  readonly ended: (ended: CallEnded) => void
  /** Where the program traces, its own span is nearer than what came with the message. */
  readonly inject: (headers: Record<string, string>) => void
  readonly close: () => void
}

const states = { closed: 0, 'half-open': 1, open: 2 } as const

/**
 * Registers the gauges of a client and returns what counts its calls. Names and units: `spillway.calls` (calls, by context, call, version, outcome and
 * reason), `spillway.call.duration` (seconds, retries included), `spillway.call.attempts` (requests), `spillway.breaker.state` (0 closed, 1 half-open, 2 open),
 * `spillway.bulkhead.calls` (calls under way and waiting).
 */
export function callTelemetry(client: CallClient): CallTelemetry {
  const meter = metrics.getMeter('spillway')
  const calls = meter.createCounter('spillway.calls', { description: 'Calls that ended, by their outcome.' })
  const attempts = meter.createCounter('spillway.call.attempts', { description: 'Attempts of all calls.' })
  const duration = meter.createHistogram('spillway.call.duration', {
    description: 'How long calls took, retries included.',
    unit: 's',
    advice: {
      explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    },
  })
  const state = meter.createObservableGauge('spillway.breaker.state', {
    description: '0: closed, 1: half-open, 2: open.',
  })
  const bulkhead = meter.createObservableGauge('spillway.bulkhead.calls', {
    description: 'Calls under way, and waiting for a place.',
  })
  const look: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
    for (const { context, destination } of client.targets) {
      result.observe(state, states[destination.breaker.state], { context })
      const { underWay, waiting } = destination.bulkhead.snapshot()
      result.observe(bulkhead, underWay, { context, is: 'under way' })
      result.observe(bulkhead, waiting, { context, is: 'waiting' })
    }
  }
  meter.addBatchObservableCallback(look, [state, bulkhead])
  return {
    ended({ context, type, version, outcome, reason, attempts: made, ms }) {
      const asked = { context, call: type, version }
      const of = { ...asked, outcome }
      calls.add(1, reason === undefined ? of : { ...of, reason })
      attempts.add(made, asked)
      duration.record(ms / 1_000, of)
    },
    inject: (headers) => propagation.inject(tracing.active(), headers),
    close: () => meter.removeBatchObservableCallback(look, [state, bulkhead]),
  }
}

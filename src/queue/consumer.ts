// Working off a queue: what a consumer can be told, and how it is started.
import { retryPolicy } from '../core/backoff.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { checkConcurrency } from '../core/concurrency.ts'
import type { QueueContract } from '../core/contract.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { SpillwayError } from '../core/errors.ts'
import { checkHandler, checkOptions, type OptionNames } from '../core/known-options.ts'
import { type Background, background } from '../core/lifecycle.ts'
import type { OnReport } from '../core/report.ts'
import type { OnSettled } from '../core/settled.ts'
import { missing } from '../ports/capability.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { Handler, Handling } from './attempts.ts'
import type { BatchHandler } from './batch.ts'
import { trimFinished } from './finished-messages.ts'
import { fireSchedules } from './schedule-runner.ts'
import { Worker } from './worker.ts'

export interface ConsumeOptions {
  /** How many messages are handled at the same time by this consumer. Default 10. */
  readonly concurrency?: number
  /** How long a silent consumer keeps a message. Renewed while the handler runs. Default 30 s. */
  readonly lease?: Duration
  /** Told of everything that went wrong and was survived. */
  readonly onReport?: OnReport
  /** Told how each attempt ended, once that is stored. */
  readonly onSettled?: OnSettled
  readonly clock?: Clock
  /** @internal Its name, for what it refuses. */
  readonly engine?: string
}

export interface BatchOptions extends Omit<ConsumeOptions, 'concurrency'> {
  /** How many messages a batch has at most: from 1 to 10,000. Default 100. */
  readonly size?: number
  /** How long the first message of a batch waits for others, at most a third of the lease. Default 0: a batch is what there is. */
  readonly wait?: Duration
  /** How many batches are handled at the same time by this consumer. Default 1. */
  readonly concurrency?: number
}

const consumeOptions: OptionNames<ConsumeOptions> = {
  concurrency: true,
  lease: true,
  onReport: true,
  onSettled: true,
  clock: true,
  engine: true,
}
const batchOptions: OptionNames<BatchOptions> = { ...consumeOptions, size: true, wait: true }

export type Consumer = Background

const largestBatch = 10_000

export function consume<Out>(
  contract: QueueContract<unknown, Out>,
  port: QueuePort,
  handler: Handler<Out>,
  options: ConsumeOptions,
): Consumer {
  checkHandler(`consume() of ${contract.queue}`, handler)
  checkOptions('consume()', options, consumeOptions)
  const concurrency = checkConcurrency(options.concurrency)
  return start(contract, port, { one: handler }, { concurrency, size: 1, waitMs: 0 }, options)
}

export function consumeBatch<Out>(
  contract: QueueContract<unknown, Out>,
  port: QueuePort,
  handler: BatchHandler<Out>,
  options: BatchOptions,
): Consumer {
  checkHandler(`consumeBatch() of ${contract.queue}`, handler)
  checkOptions('consumeBatch()', options, batchOptions)
  const { size = 100 } = options
  if (!Number.isInteger(size) || size < 1 || size > largestBatch)
    throw new SpillwayError(
      'INVALID_OPTION',
      `size is ${size}; it takes a whole number from 1 to ${largestBatch}.`,
    )
  const concurrency = checkConcurrency(options.concurrency ?? 1)
  const waitMs = milliseconds(options.wait ?? 0, 'wait')
  return start(contract, port, { batch: handler }, { concurrency, size, waitMs }, options)
}

function start<Out>(
  contract: QueueContract<unknown, Out>,
  port: QueuePort,
  handling: Handling<Out>,
  shape: { readonly concurrency: number; readonly size: number; readonly waitMs: number },
  options: ConsumeOptions,
): Consumer {
  const clock = options.clock ?? systemClock
  const leaseMs = milliseconds(options.lease ?? '30s', 'lease')
  if (leaseMs < port.limits.minLeaseMs)
    throw new SpillwayError(
      'INVALID_OPTION',
      `lease is ${leaseMs} ms; this engine can renew none shorter than ${port.limits.minLeaseMs} ms.`,
    )
  if (shape.waitMs > leaseMs / 3)
    throw new SpillwayError(
      'INVALID_OPTION',
      `wait is ${shape.waitMs} ms; a batch may wait for a third of the lease, which is ${leaseMs} ms.`,
    )
  const settings = {
    ...shape,
    leaseMs,
    deadlineMs: milliseconds(contract.deadline ?? '5m', 'deadline'),
    retry: retryPolicy(contract.retry),
    noProgress: port.capabilities.progress
      ? undefined
      : () => missing(options.engine ?? 'in use', 'queue', 'progress'),
  }
  return background(async ({ stopping, abandon }) => {
    const worker = new Worker(
      contract,
      port,
      handling,
      settings,
      clock,
      abandon,
      options.onReport,
      options.onSettled,
    )
    const endTrimming = trimFinished(contract, port, clock, options.onReport)
    const firing = fireSchedules(contract.queue, port, clock, options.onReport, stopping)
    try {
      await worker.run(stopping)
    } finally {
      await Promise.all([firing.end(), endTrimming()])
    }
  }, clock)
}

// What a process knows of the contexts that it calls: for programs, and for the command line.

import type { RetryBudgetSnapshot } from '../core/retry-budget.ts'
import type { BreakerForce, BreakerSnapshot } from './breaker.ts'
import type { BulkheadSnapshot } from './bulkhead.ts'
import type { Target } from './client/target.ts'

/** A context that this process calls. */
export interface CalledContext {
  readonly context: string
  readonly breaker: BreakerSnapshot
  readonly bulkhead: BulkheadSnapshot
  readonly retryBudget: RetryBudgetSnapshot
  /** `well`: calls go there. */
  readonly instances: readonly {
    readonly address: string
    readonly inFlight: number
    readonly well: boolean
  }[]
}

export function calledContext({ context, destination, instances }: Target): CalledContext {
  const { breaker, bulkhead, retryBudget } = destination
  return {
    context,
    breaker: breaker.snapshot(),
    bulkhead: bulkhead.snapshot(),
    retryBudget: retryBudget.snapshot(),
    instances: instances.map(({ address, inFlight, isOut }) => ({ address, inFlight, well: !isOut })),
  }
}

export function isForce(value: unknown): value is BreakerForce {
  return value === 'open' || value === 'closed' || value === 'auto'
}

// A spy on the handlers of a running topology: a test waits until a message was handled, with the outcome that it expects.
import type { Contract } from '../../core/contract.ts'
import { type Duration, milliseconds } from '../../core/duration.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { Message } from '../../core/message.ts'
import type { Settled } from '../../core/settled.ts'
import { notSeen } from './not-seen.ts'

export type SettledOutcome = Settled['outcome']

export interface SpyFilter<Out> {
  /** Of one message, by its id: as `send` resolved with it. */
  readonly id?: string
  /** The context whose handler it was; outside contexts the group, or the queue. */
  readonly by?: string
  readonly where?: (message: Message<Out>) => boolean
}

export interface SpyWait<Out> extends SpyFilter<Out> {
  /** The second that fits, the third. Default 1. */
  readonly nth?: number
  /** How long to wait, in real time. Default 4 s: less than the patience of most test runners, so that the error is seen. */
  readonly within?: Duration
}

/** What a handler was given, and how it ended. */
export interface Handled<Out> extends Settled<Out> {
  readonly message: Message<Out>
}

/**
 * Give it as `onSettled` to `run()`, `consume()` or `subscribe()`, on any engine. It remembers the last 10,000 attempts that ended in this
 * process, so that it does not matter whether the message came before the call or comes after it.
 */
export interface HandlerSpy {
  (settled: Settled): void
  /**
   * Resolves with the first attempt (or the n-th) at a message of the contract that ended so, once that is stored. Rejects with
   * NOT_SEEN when there was none in time, and says what there was.
   */
  until<Out>(of: Contract<unknown, Out>, outcome?: 'done', wait?: SpyWait<Out>): Promise<Handled<Out>>
  until<Out>(of: Contract<unknown, Out>, outcome: SettledOutcome, wait?: SpyWait<Out>): Promise<Settled<Out>>
  /** What ended of a contract so far, oldest first, whatever the outcome. */
  seen<Out>(of: Contract<unknown, Out>, filter?: SpyFilter<Out>): readonly Settled<Out>[]
}

const remembered = 10_000

export function handlerSpy(): HandlerSpy {
  let ends: Settled[] = []
  const waiting = new Set<(end: Settled) => void>()
  const spy = (end: Settled): void => {
    ends.push(end)
    if (ends.length >= 2 * remembered) ends = ends.slice(-remembered)
    for (const look of waiting) look(end)
  }

  const seen = <Out>(of: Contract<unknown, Out>, filter: SpyFilter<Out> = {}): readonly Settled<Out>[] =>
    ends.filter((end): end is Settled<Out> => fits(end, of, filter))

  async function until<Out>(
    of: Contract<unknown, Out>,
    outcome: SettledOutcome = 'done',
    wait: SpyWait<Out> = {},
  ): Promise<Handled<Out>> {
    const { nth = 1, within = '4s' } = wait
    if (!Number.isInteger(nth) || nth < 1)
      throw new SpillwayError('INVALID_OPTION', `nth is ${nth}; it takes a whole number from 1.`)
    const withinMs = milliseconds(within, 'within')
    const wanted = (end: Settled) => end.outcome === outcome && fits(end, of, wait)
    const found = ends.filter(wanted)
    if (found.length >= nth) return found[nth - 1] as Handled<Out>
    return new Promise((resolve, reject) => {
      let left = nth - found.length
      const look = (end: Settled) => {
        if (!wanted(end)) return
        left -= 1
        if (left > 0) return
        waiting.delete(look)
        clearTimeout(timer)
        resolve(end as Handled<Out>)
      }
      const timer = setTimeout(() => {
        waiting.delete(look)
        reject(notSeen({ type: of.type, outcome, nth, withinMs, ...wait }, ends))
      }, withinMs)
      waiting.add(look)
    })
  }

  return Object.assign(spy, { until, seen }) as HandlerSpy
}

function fits<Out>(end: Settled, of: Contract<unknown, Out>, { id, by, where }: SpyFilter<Out>): boolean {
  if (end.type !== of.type || (by !== undefined && end.by !== by)) return false
  const message = end.message as Message<Out> | undefined
  if (id !== undefined && message?.id !== id) return false
  return where === undefined || (message !== undefined && where(message))
}

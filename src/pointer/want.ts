// One key that somebody waits for: who does, for which version, and what has been answered to them so far.
import type { Current } from '../core/pointer-contract.ts'

/** An ordinary lag of a replica: `gone` is believed when it is still said so long after it was said first. */
const goneForMs = 1_000
/** No lag is longer: of an event as old as this, `gone` is believed at once. */
const oldMs = 60_000
/** How long a version may be not yet there before its owner counts as behind. */
const behindAfterMs = 5_000

export interface Wanted {
  readonly key: string
  /** This one or a later one. */
  readonly version: number
  /** When its event says that it happened, epoch ms; undefined where it does not say. */
  readonly happenedAt: number | undefined
}

export interface Waiter extends Wanted {
  readonly resolve: (current: Current<unknown, unknown>) => void
  readonly reject: (error: unknown) => void
  /** False while no request has left since it came. */
  asked: boolean
  /** By the clock that never steps: since when `gone`, or a lower version, is answered to it. */
  goneSince: number | undefined
  lowerSince: number | undefined
}

/** Where a want is: about to leave, with the owner, or waiting to be asked again. */
export type Place = 'queued' | 'out' | 'resting'

export class Want {
  readonly key: string
  readonly waiters: Set<Waiter> = new Set()
  place: Place = 'queued'
  /** Requests in a row that did not do. */
  tries = 0
  cancelRest: () => void = () => {}

  constructor(key: string) {
    this.key = key
  }

  /** It leaves now, for everyone who waits now. */
  leave(): void {
    this.place = 'out'
    for (const waiter of this.waiters) waiter.asked = true
  }

  /** True when somebody came after the request had left. */
  get isNew(): boolean {
    return [...this.waiters].some(({ asked }) => !asked)
  }

  /** Whom the request that came back was for. */
  asked(): Waiter[] {
    return [...this.waiters].filter(({ asked }) => asked)
  }

  /** They wait no longer. */
  end(waiters: readonly Waiter[], tell: (waiter: Waiter) => void): void {
    for (const waiter of waiters) {
      this.waiters.delete(waiter)
      tell(waiter)
    }
  }

  /** Who is content with a version; the others have heard that it is not yet there. */
  found(version: number, now: number): Waiter[] {
    const content: Waiter[] = []
    for (const waiter of this.waiters) {
      if (waiter.version <= version) content.push(waiter)
      else if (waiter.asked) {
        waiter.goneSince = undefined
        waiter.lowerSince ??= now
      }
    }
    return content
  }

  /** Who believes that there is nothing any more. `version`: of what is gone, where the owner tells it. */
  gone(version: number | undefined, now: number, today: number): Waiter[] {
    const content: Waiter[] = []
    for (const waiter of this.waiters) {
      if (version !== undefined && version >= waiter.version) content.push(waiter)
      else if (waiter.asked) {
        waiter.goneSince ??= now
        const isOld = waiter.happenedAt !== undefined && today - waiter.happenedAt >= oldMs
        if (isOld || now - waiter.goneSince >= goneForMs) content.push(waiter)
      }
    }
    return content
  }

  /** True when somebody has waited for a version that does not come, for longer than a replica lags. */
  isBehind(now: number): boolean {
    return [...this.waiters].some(
      ({ lowerSince }) => lowerSince !== undefined && now - lowerSince >= behindAfterMs,
    )
  }
}

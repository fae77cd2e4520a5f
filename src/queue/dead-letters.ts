// Putting dead letters back: those that are named, or all whose reason fits.
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import type { DeadMessage, QueuePort } from '../ports/queue.ts'

const page = 500

export interface RedriveFilter {
  /** A part of the reason, or a pattern that it matches. */
  readonly reason?: string | RegExp
  /** Any other choice. Asked once for each dead letter. */
  readonly where?: (dead: DeadMessage) => boolean
  /** Ends between two pages; what was put back by then stays so. */
  readonly signal?: AbortSignal
}

const filterNames: OptionNames<RedriveFilter> = { reason: true, where: true, signal: true }

/**
 * Page by page through the dead letters that there were at the beginning: one that dies again meanwhile stands behind them,
 * and is left.
 */
export async function redriveAll(port: QueuePort, queue: string, filter: RedriveFilter): Promise<number> {
  // A misspelt filter would choose everything.
  checkOptions('redriveAll()', filter, filterNames)
  const fits = matcher(filter)
  let left = (await port.count(queue)).dead
  let after: string | undefined
  let redriven = 0
  while (left > 0 && !filter.signal?.aborted) {
    const limit = Math.min(page, left)
    const found = await port.deadLetters(queue, { limit, ...(after === undefined ? {} : { after }) })
    if (found.length === 0) break
    const handles = found.filter(fits).map(({ handle }) => handle)
    if (handles.length > 0) redriven += await port.redrive(queue, handles)
    after = found.at(-1)!.handle
    left -= found.length
  }
  return redriven
}

function matcher({ reason, where }: RedriveFilter): (dead: DeadMessage) => boolean {
  // A pattern with the flag g or y would remember where it stood.
  const pattern = reason instanceof RegExp ? new RegExp(reason, reason.flags.replace(/[gy]/g, '')) : undefined
  return (dead) => {
    if (typeof reason === 'string' && !dead.reason.includes(reason)) return false
    if (pattern && !pattern.test(dead.reason)) return false
    return where?.(dead) ?? true
  }
}

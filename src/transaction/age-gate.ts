// The age gate of an inbox: entries are not kept for ever, so that a copy may come when the entry of what it is a copy of is gone. A
// message is therefore not run once it is older than the inbox remembers, and entries are kept for a while longer than that.
//
// Old is counted from when the message could be handled first: when it was sent, its delay had passed, or it was redriven, on the queue or in the
// outbox of its sender. No entry is made
// before that, so none is gone before the gate has closed for all copies of its message.
//
// The window may have been shorter once, or be shorter in another process of the service: the gate is closed as well for what could be handled before
// the latest entry that was removed.
import { systemClock } from '../core/clock.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import type { UnitHome } from './unit.ts'

export const defaultKeep: Duration = '7d'
/** Entries are kept for so much longer than the gate is open: the clocks of senders, receivers and databases may differ by as much. */
export const clockMarginMs: number = 86_400_000
const leastKeepMs = 1_000

/** For how long messages are run, and entries of the inbox kept at least. INVALID_OPTION for less than a second. */
export function keepMsOf(keep: Duration = defaultKeep): number {
  const keepMs = milliseconds(keep, 'keep')
  if (keepMs >= leastKeepMs) return keepMs
  throw new SpillwayError('INVALID_OPTION', `keep of an inbox is ${keepMs} ms; it is at least a second.`)
}

/**
 * Why the message must not be run; undefined when it may. Asked for one that the inbox does not have, with what the inbox said then of the entries
 * that it removed.
 */
export function tooOld(
  { keepMs, clock = systemClock }: Pick<UnitHome<unknown>, 'keepMs' | 'clock'>,
  { id, type, time, notbefore, redriventime }: Message,
  { redrivenAt }: { readonly redrivenAt?: number | undefined },
  prunedUpTo?: number | undefined,
): SpillwayError | undefined {
  if (keepMs === undefined) return undefined
  const redriven = Math.max(readTime(redriventime), redrivenAt ?? Number.NEGATIVE_INFINITY)
  const since = Math.max(Date.parse(time), readTime(notbefore), redriven)
  const ageMs = clock.now() - since
  const forgotten = forgottenUntil(prunedUpTo)
  if (ageMs <= keepMs && since > forgotten) return undefined
  const what = Number.isNaN(ageMs)
    ? `Message ${id} of ${type} does not tell when it was sent`
    : `Message ${id} of ${type} could be handled since ${new Date(since).toISOString()}, which is ${Math.floor(ageMs / 1_000)} s ago`
  return new SpillwayError(
    'TOO_OLD',
    `${what}; ${memoryOf(keepMs, ageMs <= keepMs ? forgotten : undefined)}, so that this may be a copy of what was handled.`,
    { details: { id, type } },
  )
}

/** What could be handled until then may have had an entry that is gone, whatever the window is now. */
export function forgottenUntil(prunedUpTo: number | undefined): number {
  return prunedUpTo === undefined ? Number.NEGATIVE_INFINITY : prunedUpTo + clockMarginMs
}

function memoryOf(keepMs: number, forgotten: number | undefined): string {
  if (forgotten === undefined)
    return `its service remembers for ${Math.floor(keepMs / 1_000)} s what it handled`
  return `its service, with a shorter \`keep\`, forgot what it handled of the time before ${new Date(forgotten).toISOString()}`
}

function readTime(text: string | undefined): number {
  return text === undefined ? Number.NEGATIVE_INFINITY : Date.parse(text)
}

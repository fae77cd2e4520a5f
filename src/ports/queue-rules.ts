// The rules that a queue can be declared with. Each is a capability; a queue without rules pays for none of them.
// Rules hold for all consumers of the queue, in all processes, by the engine's own clock.
import { SpillwayError } from '../core/errors.ts'
import { missing, type QueueCapabilities } from './capability.ts'

export interface QueueRules {
  /**
   * Messages with the same `key` are leased one at a time, in the order in which they were sent: the next one only when the
   * one before it was settled `done`, or is a dead letter, or was cancelled. One that waits for a delay or a retry, or whose lease
   * ended, keeps its turn. A redriven one goes to the end. One that others wait for (`flow`) comes before those of its key, but for one that
   * was begun: one of them may be who waits. Messages without a key are free. Capability `keyOrder`.
   */
  readonly keyOrder?: boolean
  /**
   * Messages carry a `priority`, a whole number from -100 to 100, 0 by default: among those that can be claimed the highest
   * is claimed first, and those of equal priority as in any queue. A low one waits as long as there are higher ones. With
   * `keyOrder` the order of a key comes first. Retries and redriving keep it. Capability `priority`.
   */
  readonly priority?: boolean
  /** Messages carry a `dedup` key. Capability `dedup`. */
  readonly dedup?: boolean
  /**
   * Messages carry a `group` (a tenant, say), a text like a key. Claims, one after another and within each, take turns between the
   * groups that have something to claim, whatever the length of their backlogs; those without a group are one. At most `concurrency`
   * messages of a group are leased at once; the others go on meanwhile, with lower priorities too. With `priority` turns are taken among
   * those of equal priority. Capability `groups`.
   */
  readonly groups?: { readonly concurrency?: number | undefined }
  /** At most so many messages of the queue are leased at once: live leases are counted, so nothing leaks. Capability `concurrency`. */
  readonly concurrency?: number
  /**
   * A bucket of `count` starts, full at first, filled again evenly over `perMs`; a claim takes one for each message, and no settlement
   * gives it back. Capability `rate`.
   */
  readonly rate?: { readonly count: number; readonly perMs: number }
  /**
   * Messages can wait for messages of this queue, and messages of this queue for others: see `After`. How each one ends is remembered
   * for `flowMemoryMs`. Messages that were sent before the rule are not known by it. Capability `flow`.
   */
  readonly flow?: boolean
  /**
   * Messages that were settled `done` are kept: those of the last `forMs`, and of these the newest `count`, or more. At least one of
   * both is given. Capability `finished`.
   */
  readonly finished?: { readonly count?: number | undefined; readonly forMs?: number | undefined }
}

/**
 * What a message waits for: others, by their ids, in queues of the same engine with the rule `flow`. It can be claimed once each of
 * them was settled `done`. For one that is a dead letter it waits until it is redriven and done; when one was cancelled or purged, it can be claimed as
 * an `orphan`.
 */
export interface After {
  /** From 1 to `maxAfter`. */
  readonly ids: readonly string[]
  /** A predecessor that becomes a dead letter, or is cancelled or purged, counts as done. Default false. */
  readonly anyEnd?: boolean | undefined
  /**
   * An id that is neither that of a message in such a queue, of a dead letter of one, or of one before this in the call, nor remembered, may still
   * come. Default false: then it is refused with UNKNOWN_MESSAGE, and nothing of the call is stored.
   */
  readonly mayCome?: boolean | undefined
}

/**
 * While a message with this key is in the queue (claimable, waiting or leased), and for `forMs` since it was sent whatever
 * becomes of it, no other one with the key is stored. A dead letter is not in the queue; when it is redriven it takes no key.
 */
export interface DedupKey {
  readonly key: string
  readonly forMs?: number | undefined
}

/** A message that was not stored. */
export interface Duplicate {
  /** Its place among the arguments. */
  readonly index: number
  /** The id of the message that has the key. */
  readonly id: string
}

export const maxPriority = 100
/** What `rate` and `concurrency` take at most; and the longest `perMs` and `forMs`. */
export const maxRuleCount = 1_000_000
/** How many others a message waits for at most. */
export const maxAfter = 1_000
/** How long it is remembered how a message ended. */
export const flowMemoryMs: number = 7 * 86_400_000
/** How long what a holder says of its progress may be. */
export const maxProgress = 4_000
/** How many finished messages a queue keeps by number at most. */
export const maxFinished = 100_000
export const maxRuleMs: number = 366 * 86_400_000

/**
 * Throws CAPABILITY_MISSING for a rule that the engine cannot hold, INVALID_OPTION for a number out of range. `queue`: whose
 * contract asks for the rules.
 */
export function checkRules(
  engine: string,
  capabilities: QueueCapabilities,
  rules: QueueRules,
  queue?: string,
): void {
  const { keyOrder, priority, dedup, groups, concurrency, rate, flow, finished } = rules
  const asked = { keyOrder, priority, dedup, groups, concurrency, rate, flow, finished }
  for (const [name, value] of Object.entries(asked)) {
    const rule = name as keyof typeof asked
    if (value !== undefined && value !== false && !capabilities[rule])
      throw missing(engine, 'queue', rule, queue)
  }
  for (const [name, count] of [
    ['concurrency', concurrency],
    ['groups.concurrency', groups?.concurrency],
    ['rate.count', rate?.count],
  ] as const)
    if (count !== undefined) checkRange(name, count, 1, maxRuleCount)
  if (rate) checkRange('rate.perMs', rate.perMs, 1, maxRuleMs)
  if (finished) checkFinished(finished)
}

function checkFinished({ count, forMs }: NonNullable<QueueRules['finished']>): void {
  if (count !== undefined) checkRange('finished.count', count, 1, maxFinished)
  if (forMs !== undefined) checkRange('finished.forMs', forMs, 1, maxRuleMs)
  if (count === undefined && forMs === undefined)
    throw new SpillwayError(
      'INVALID_OPTION',
      'finished has neither count nor forMs: it would keep everything.',
    )
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most)
    throw new SpillwayError(
      'INVALID_OPTION',
      `${name} is ${value}; it is a whole number from ${least} to ${most}.`,
    )
}

/** Throws INVALID_OPTION when a message carries what the rules of its queue do not speak of, or out of range. */
export function checkCarried(message: Carried, rules: QueueRules): void {
  const { priority, dedup, group, after } = message
  if ((priority ?? dedup ?? group ?? after) === undefined) return
  refuseUnless(priority === undefined || rules.priority === true, 'priority', 'priority')
  refuseUnless(dedup === undefined || rules.dedup === true, 'dedup', 'dedup')
  refuseUnless(group === undefined || rules.groups !== undefined, 'group', 'groups')
  refuseUnless(after === undefined || rules.flow === true, 'after', 'flow')
  if (after !== undefined) checkRange('the number of ids in after', after.ids.length, 1, maxAfter)
  if (priority !== undefined) checkRange('priority', priority, -maxPriority, maxPriority)
  if (dedup?.forMs !== undefined) checkRange('dedup.forMs', dedup.forMs, 1, maxRuleMs)
}

type Carried = {
  readonly priority?: number | undefined
  readonly dedup?: DedupKey | undefined
  readonly group?: string | undefined
  readonly after?: After | undefined
}

function refuseUnless(allowed: boolean, what: string, rule: keyof QueueRules): void {
  if (!allowed)
    throw new SpillwayError(
      'INVALID_OPTION',
      `The message has a ${what}, but its queue is not declared with the rule '${rule}'; nothing was stored.`,
    )
}

/** The error for a message that waits for one that the engine does not know. */
export function unknownMessage(engine: string, id: string): SpillwayError {
  return new SpillwayError(
    'UNKNOWN_MESSAGE',
    `A message was to wait for the message ${JSON.stringify(id)}, which is in no queue with the rule 'flow', and did not end in one within the last seven days; nothing was stored.`,
    { engine, details: { id } },
  )
}

/** Throws INVALID_OPTION when a holder says more of its progress than is kept. */
export function checkProgress(engine: string, progress: readonly (string | undefined)[] = []): void {
  const long = progress.find((text) => text !== undefined && text.length > maxProgress)
  if (long !== undefined)
    throw new SpillwayError(
      'INVALID_OPTION',
      `The progress of a message has ${long.length} characters; it may have ${maxProgress}. No lease was extended.`,
      { engine },
    )
}

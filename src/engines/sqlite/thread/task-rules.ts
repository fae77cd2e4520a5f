// The rules of a queue as the storage thread keeps them, and its bucket of starts.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { QueueRules } from '../../../ports/queue-rules.ts'

export interface RuleState {
  readonly queue: number
  readonly rules: QueueRules
  /** Rises with every change of the rules: what a caller believed of an older one is asked for again. */
  readonly version: number
  /** It has rules, or had them once: there may be tasks. */
  readonly tasks: boolean
  readonly paused: boolean
  /** For each priority the group that was served last. */
  readonly turns: Record<number, string>
  /** Starts that are left, as counted at `bucketAt`. */
  bucket: number
  bucketAt: number
  changed: boolean
}

export class TaskRules {
  readonly #states = new Map<number, RuleState>()
  readonly #get: StatementSync
  readonly #set: StatementSync
  readonly #save: StatementSync
  readonly #pause: StatementSync

  constructor(db: DatabaseSync) {
    this.#get = db.prepare(
      'SELECT rules, version, paused, turns, bucket, bucket_at FROM queue_rules WHERE queue = ?',
    )
    this.#set = db.prepare(
      `INSERT INTO queue_rules (queue, rules) VALUES (?1, ?2)
       ON CONFLICT DO UPDATE SET rules = ?2, version = version + 1, bucket = iif(?3, bucket, NULL)`,
    )
    this.#save = db.prepare('UPDATE queue_rules SET turns = ?, bucket = ?, bucket_at = ? WHERE queue = ?')
    this.#pause = db.prepare(
      `INSERT INTO queue_rules (queue, paused) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET paused = ?2`,
    )
  }

  of(queue: number): RuleState {
    const known = this.#states.get(queue)
    if (known !== undefined) return known
    const row = this.#get.get(queue)
    const text = (row?.rules as string | null | undefined) ?? null
    const rules: QueueRules = text === null ? {} : JSON.parse(text)
    const state: RuleState = {
      queue,
      rules,
      version: Number(row?.version ?? 0),
      tasks: text !== null,
      paused: row?.paused === 1,
      turns: JSON.parse(String(row?.turns ?? '{}')),
      bucket: (row?.bucket as number | null | undefined) ?? rules.rate?.count ?? 0,
      bucketAt: Number(row?.bucket_at ?? 0),
      changed: false,
    }
    this.#states.set(queue, state)
    return state
  }

  /** The rules take the place of those that it had; a rate that is the same keeps its bucket. */
  set(queue: number, rules: QueueRules): void {
    this.finish()
    const sameRate = JSON.stringify(this.of(queue).rules.rate) === JSON.stringify(rules.rate)
    this.#set.run(queue, JSON.stringify(rules), sameRate ? 1 : 0)
    this.#states.delete(queue)
  }

  pause(queue: number, paused: boolean): void {
    // What this transaction counted so far is not in the file yet.
    this.finish()
    this.#pause.run(queue, paused ? 1 : 0)
    this.#states.delete(queue)
  }

  finish(): void {
    for (const state of this.#states.values()) {
      if (!state.changed) continue
      this.#save.run(JSON.stringify(state.turns), state.bucket, state.bucketAt, state.queue)
      state.changed = false
    }
  }

  forget(): void {
    this.#states.clear()
  }
}

/** How many starts the rate leaves now; fills the bucket for the time that has passed. */
export function startsLeft(state: RuleState, now: number): number {
  const { rate } = state.rules
  if (rate === undefined) return Number.POSITIVE_INFINITY
  // A clock that was set back fills nothing, and takes nothing away; from now on its time is what counts, for all processes.
  if (now < state.bucketAt) state.changed = true
  const passed = Math.max(0, now - state.bucketAt)
  state.bucket = Math.min(rate.count, state.bucket + (passed * rate.count) / rate.perMs)
  state.bucketAt = now
  return Math.floor(state.bucket + rounding)
}

/** When the next start is left, if nothing is started meanwhile. */
export function nextStartAt({ rules: { rate }, bucket, bucketAt }: RuleState): number {
  if (rate === undefined || bucket + rounding >= 1) return bucketAt
  return Math.ceil(bucketAt + ((1 - bucket) * rate.perMs) / rate.count)
}

/** Sums of parts of starts end a hair below whole numbers. */
const rounding = 1e-9

// What the queue port promises, as a list that is looked through each time: too simple to be wrong. It says what may come next, not
// which of several; and nothing of time: a lease or a delay is of an hour, or it is over.
import assert from 'node:assert/strict'
import type { ClaimedMessage, ExtendResult, QueueCount, SettleResult } from '../../src/ports/queue.ts'
import type { CancelResult } from '../../src/ports/queue-control.ts'
import type { DedupKey, Duplicate, QueueRules } from '../../src/ports/queue-rules.ts'

export interface Sent {
  readonly id: string
  readonly key: string | undefined
  readonly priority: number | undefined
  readonly group: string | undefined
  readonly dedup: DedupKey | undefined
  readonly delayed: boolean
}

interface Item {
  readonly id: string
  readonly key: string | undefined
  readonly priority: number
  readonly group: string
  order: number
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'gone'
  starts: number
  /** Undefined: either. */
  suspect: boolean | undefined
  cancelled: boolean
  token: number
  /** The newest. When the state is another than leased, it is over, and nobody has claimed since. */
  lease: string | undefined
  dedup: string | undefined
}

export type Ending = 'done' | 'retry' | 'later' | 'release' | 'dead-letter'

export class QueueModel {
  readonly rules: QueueRules
  /** Changes while there are messages. */
  #concurrency: number | undefined
  paused = false
  readonly #items: Item[] = []
  /** Keys that are kept for their time, whatever became of their messages. */
  readonly #kept = new Map<string, string>()
  #order = 0
  /** For each lane (a group of a priority) that waits: who was served since its last turn. */
  readonly #served = new Map<string, Set<string>>()

  constructor(rules: QueueRules) {
    this.rules = rules
    this.#concurrency = rules.concurrency
  }

  send(messages: readonly Sent[]): Duplicate[] {
    const duplicates: Duplicate[] = []
    for (const [index, { id, key, priority = 0, group = '', dedup, delayed }] of messages.entries()) {
      const holder =
        dedup && (this.#here().find((item) => item.dedup === dedup.key)?.id ?? this.#kept.get(dedup.key))
      if (holder !== undefined) {
        duplicates.push({ index, id: holder })
        continue
      }
      if (dedup?.forMs !== undefined) this.#kept.set(dedup.key, id)
      this.#items.push({
        ...{ id, key, priority, group, order: this.#order++, state: delayed ? 'delayed' : 'ready' },
        ...{ starts: 0, suspect: false, cancelled: false, token: 0, lease: undefined, dedup: dedup?.key },
      })
    }
    return duplicates
  }

  /** Takes over what was claimed, message by message, each if it may be the next. */
  claim(found: readonly ClaimedMessage[], limit: number): void {
    assert.ok(found.length <= limit, `${found.length} were claimed, asked for were ${limit}`)
    if (this.paused) assert.deepEqual(found, [], 'nothing is claimed while the queue is paused')
    for (const { id, key, starts, suspect, fencingToken, lease } of found) {
      const candidates = this.#candidates()
      const highest = Math.max(...candidates.map((item) => this.#priority(item)))
      const next = candidates.filter((item) => this.#priority(item) === highest)
      const item = next.find((one) => one.id === id)
      assert.ok(item, `${id} is none of those that may be next: ${next.map((one) => one.id).join(', ')}`)
      this.#turn(this.#lane(item), new Set(next.map((one) => this.#lane(one))))
      if (item.lease !== undefined) item.suspect = true
      item.starts++
      const expected = { key: item.key, starts: item.starts, suspect: item.suspect ?? suspect }
      assert.deepEqual({ key, starts, suspect }, expected)
      item.suspect = suspect
      assert.ok(fencingToken > item.token, `the fencing token of ${id} rises`)
      assert.ok(!this.#items.some((one) => one.lease === lease), 'no lease is named twice')
      item.token = fencingToken
      item.lease = lease
      item.state = 'leased'
    }
    const left = found.length < limit && !this.paused ? this.#candidates() : []
    assert.deepEqual(
      left.map(({ id }) => id),
      [],
      'a claim gives what there is',
    )
    this.#forgetTurns()
  }

  /** Nothing is said of turns over a change of the rules. */
  limit(concurrency: number | undefined): void {
    this.#concurrency = concurrency
    this.#served.clear()
  }

  /** Their holder is never heard of in time. */
  expire(leases: readonly string[]): void {
    for (const item of this.#items) {
      if (item.lease === undefined || !leases.includes(item.lease) || item.state !== 'leased') continue
      item.state = item.cancelled ? 'gone' : 'ready'
    }
    this.#forgetTurns()
  }

  settle(lease: string, ending: Ending, result: SettleResult): void {
    const item = this.#items.find((one) => one.lease === lease)
    // Of a lease that is over, and whose message nobody has claimed since: either.
    if (item?.state !== 'leased' && result === 'stale') return
    assert.equal(result, 'settled')
    assert.ok(item, 'a lease that ended already is stale')
    if (item.state === 'gone') return
    item.lease = undefined
    if (ending === 'release') item.starts--
    // Given back late: an engine may have called it suspect by then. Never at its first start.
    if (ending === 'release' && item.state !== 'leased' && item.starts > 0) item.suspect = undefined
    if (ending === 'retry' || ending === 'later') item.suspect = false
    if (item.cancelled || ending === 'done') item.state = 'gone'
    else if (ending === 'dead-letter') Object.assign(item, { state: 'dead', dedup: undefined })
    else item.state = ending === 'later' ? 'delayed' : 'ready'
    this.#forgetTurns()
  }

  extend(lease: string, result: ExtendResult): void {
    const item = this.#items.find((one) => one.lease === lease && one.state !== 'gone')
    if (item?.state !== 'leased' && result === 'stale') return
    assert.ok(item, 'a lease that ended already is stale')
    assert.equal(result, item.cancelled ? 'cancelled' : 'extended')
    if (item.state !== 'leased')
      assert.ok(this.#hasPlace(item), "a lease that is over takes nobody else's place")
    item.state = 'leased'
    this.#forgetTurns()
  }

  cancel(id: string): CancelResult {
    const item = this.#here().find((one) => one.id === id)
    if (item === undefined) return 'unknown'
    item.cancelled = true
    if (item.state === 'leased') return 'signalled'
    Object.assign(item, { state: 'gone', lease: undefined })
    this.#forgetTurns()
    return 'removed'
  }

  redrive(id: string): void {
    const item = this.#items.find((one) => one.id === id && one.state === 'dead')!
    Object.assign(item, { order: this.#order++, state: 'ready', starts: 0, suspect: false, lease: undefined })
    this.#forgetTurns()
  }

  purge(what: 'waiting' | 'dead'): number {
    const gone = this.#items.filter(({ state }) =>
      what === 'dead' ? state === 'dead' : state === 'ready' || state === 'delayed',
    )
    for (const item of gone) Object.assign(item, { state: 'gone', lease: undefined })
    this.#forgetTurns()
    return gone.length
  }

  ids(...states: Item['state'][]): string[] {
    return this.#items
      .filter(({ state }) => states.includes(state))
      .map(({ id }) => id)
      .sort()
  }

  count(): QueueCount {
    const count = (state: Item['state']) => this.ids(state).length
    const [ready, delayed, leased, dead] = [count('ready'), count('delayed'), count('leased'), count('dead')]
    return { ready, delayed, leased, dead, waiting: 0, paused: this.paused }
  }

  #here(): Item[] {
    return this.#items.filter(({ state }) => state !== 'dead' && state !== 'gone')
  }

  #candidates(): Item[] {
    return this.#items.filter((item) => item.state === 'ready' && this.#hasPlace(item) && this.#isHead(item))
  }

  #isHead({ key, order }: Item): boolean {
    if (!this.rules.keyOrder || key === undefined) return true
    return !this.#here().some((one) => one.key === key && one.order < order)
  }

  #hasPlace({ group }: Item): boolean {
    const leased = this.#items.filter(({ state }) => state === 'leased')
    const ofGroup = leased.filter((one) => one.group === group).length
    const most = this.rules.groups?.concurrency ?? Number.POSITIVE_INFINITY
    return leased.length < (this.#concurrency ?? Number.POSITIVE_INFINITY) && ofGroup < most
  }

  #priority({ priority }: Item): number {
    return this.rules.priority ? priority : 0
  }

  #lane(item: Item): string {
    return `${this.#priority(item)} ${this.rules.groups ? item.group : ''}`
  }

  #turn(lane: string, waiting: ReadonlySet<string>): void {
    this.#served.delete(lane)
    for (const other of waiting) {
      if (other === lane) continue
      const served = this.#served.get(other) ?? new Set()
      assert.ok(!served.has(lane), `the group of ${lane} had two turns while that of ${other} waited`)
      this.#served.set(other, served.add(lane))
    }
  }

  /** Who has nothing to claim waits for no turn. */
  #forgetTurns(): void {
    const waiting = new Set(this.#candidates().map((item) => this.#lane(item)))
    for (const lane of this.#served.keys()) if (!waiting.has(lane)) this.#served.delete(lane)
  }
}

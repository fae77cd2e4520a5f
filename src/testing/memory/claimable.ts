// What can be claimed of a queue, and what comes next: the highest priority first; among those the group whose turn it is;
// of a group the oldest. A group that has all that it may have leased is left out. Every step is O(log n).
import type { QueueRules } from '../../ports/queue-rules.ts'
import { Heap, type Placed } from './heap.ts'
import type { StoredMessage } from './stored-message.ts'

/** The messages of one group with one priority. */
interface Lane extends Placed {
  readonly group: Group
  readonly level: Level
  readonly messages: Heap<StoredMessage>
  /** The lane with the lowest is next: drawn when the lane gets its first message, and after each claim from it. */
  turn: number
  /** It is among the lanes of its level. */
  open: boolean
}

interface Level extends Placed {
  readonly priority: number
  readonly lanes: Heap<Lane>
}

interface Group {
  readonly name: string | undefined
  readonly lanes: Map<number, Lane>
  leased: number
}

export class Claimable {
  readonly #priorities: boolean
  readonly #grouped: boolean
  readonly #mostOfGroup: number
  readonly #levels = new Heap<Level>((a, b) => a.priority > b.priority)
  readonly #levelOf = new Map<number, Level>()
  readonly #groups = new Map<string | undefined, Group>()
  /** Lanes that lost their last message otherwise than by a claim: they keep their turns until `tidy`. */
  readonly #emptied = new Set<Lane>()
  #turn = 0

  constructor({ priority, groups }: QueueRules) {
    this.#priorities = priority === true
    this.#grouped = groups !== undefined
    this.#mostOfGroup = groups?.concurrency ?? Number.POSITIVE_INFINITY
  }

  /** Nothing can be claimed. */
  get empty(): boolean {
    return this.#levels.size === 0
  }

  add(message: StoredMessage): void {
    const group = this.#groupOf(message)
    const lane = this.#laneOf(message, group)
    lane.messages.add(message)
    if (lane.messages.size > 1) return
    if (!this.#emptied.delete(lane)) lane.turn = ++this.#turn
    if (group.leased < this.#mostOfGroup) open(lane, this.#levels)
  }

  /** It must be here. */
  remove(message: StoredMessage): void {
    const lane = this.#laneOf(message, this.#groupOf(message))
    lane.messages.remove(message)
    if (lane.messages.size > 0) return
    close(lane, this.#levels)
    this.#emptied.add(lane)
  }

  /** To be called when a step is done: what left in it and came back, or had another come in its place, has its turn still. */
  tidy(): void {
    for (const lane of this.#emptied) this.#forgetLane(lane)
    this.#emptied.clear()
  }

  /** Takes out what is next, and counts it as leased. */
  shift(): StoredMessage | undefined {
    const lane = this.#levels.first()?.lanes.first()
    const message = lane?.messages.shift()
    if (lane === undefined || message === undefined) return undefined
    close(lane, this.#levels)
    lane.turn = ++this.#turn
    if (lane.messages.size > 0) open(lane, this.#levels)
    this.lease(message)
    if (lane.messages.size === 0) this.#forgetLane(lane)
    return message
  }

  /** Whether its group has room for another lease. */
  hasRoom(message: StoredMessage): boolean {
    return (this.#groups.get(this.#nameOf(message))?.leased ?? 0) < this.#mostOfGroup
  }

  /** Counts a message that is not here as leased. */
  lease(message: StoredMessage): void {
    const group = this.#groupOf(message)
    group.leased++
    if (group.leased >= this.#mostOfGroup) for (const lane of group.lanes.values()) close(lane, this.#levels)
  }

  /** It is leased no more. */
  free(message: StoredMessage): void {
    const group = this.#groupOf(message)
    group.leased--
    if (group.leased === this.#mostOfGroup - 1)
      for (const lane of group.lanes.values()) if (lane.messages.size > 0) open(lane, this.#levels)
    this.#forgetIfEmpty(group)
  }

  #forgetLane({ group, level }: Lane): void {
    group.lanes.delete(level.priority)
    this.#forgetIfEmpty(group)
  }

  #forgetIfEmpty({ name, leased, lanes }: Group): void {
    if (leased === 0 && lanes.size === 0) this.#groups.delete(name)
  }

  #nameOf({ group }: StoredMessage): string | undefined {
    return this.#grouped ? group : undefined
  }

  #groupOf(message: StoredMessage): Group {
    const name = this.#nameOf(message)
    const group = this.#groups.get(name) ?? { name, lanes: new Map(), leased: 0 }
    this.#groups.set(name, group)
    return group
  }

  #laneOf(message: StoredMessage, group: Group): Lane {
    const priority = this.#priorities ? message.priority : 0
    let lane = group.lanes.get(priority)
    if (lane !== undefined) return lane
    let level = this.#levelOf.get(priority)
    if (level === undefined) {
      level = { priority, lanes: new Heap<Lane>((a, b) => a.turn < b.turn), place: 0 }
      this.#levelOf.set(priority, level)
    }
    lane = { group, level, messages: new Heap(byOrder), turn: 0, open: false, place: 0 }
    group.lanes.set(priority, lane)
    return lane
  }
}

const byOrder = (a: StoredMessage, b: StoredMessage): boolean => a.order < b.order

function open(lane: Lane, levels: Heap<Level>): void {
  if (lane.open) return
  lane.open = true
  lane.level.lanes.add(lane)
  if (lane.level.lanes.size === 1) levels.add(lane.level)
}

function close(lane: Lane, levels: Heap<Level>): void {
  if (!lane.open) return
  lane.open = false
  lane.level.lanes.remove(lane)
  if (lane.level.lanes.size === 0) levels.remove(lane.level)
}

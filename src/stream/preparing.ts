// What an event needs before an attempt at it begins, got ahead of its turn to run: waiting for it is no attempt, has no deadline, and takes no place.
import { SpillwayError } from '../core/errors.ts'
import type { Task } from './assignment.ts'
import type { Prepared, Unpreparable } from './preparation.ts'

/** So many events of a type are being prepared, or hold what was got for them. The others of it wait as they were read. */
const mostPrepared = 200

interface Share {
  taken: number
  readonly line: Task[]
}

export class Preparing {
  readonly #ready: (task: Task) => void
  /** By event type: an owner that is away holds up nobody else's. */
  readonly #shares = new Map<string, Share>()
  readonly #underWay = new Map<Task, AbortController>()

  constructor(ready: (task: Task) => void) {
    this.#ready = ready
  }

  /** Prepares the task now or later, and gives it back by `ready`. */
  add(task: Task): void {
    const share = this.#shareOf(task)
    if (share.taken < mostPrepared) this.#begin(task, share)
    else share.line.push(task)
  }

  /** What was got for the task is needed no more. */
  release(task: Task): void {
    if (!task.prepared) return
    task.prepared = undefined
    this.#free(task)
  }

  /** Ends the preparing of these tasks, without giving them back. */
  withdraw(which: (task: Task) => boolean): void {
    for (const share of this.#shares.values())
      share.line.splice(0, share.line.length, ...share.line.filter((task) => !which(task)))
    for (const [task, controller] of this.#underWay) {
      if (!which(task)) continue
      this.#underWay.delete(task)
      controller.abort(new SpillwayError('ABORTED', 'The event is not handled here any more.'))
      this.#free(task)
    }
  }

  #begin(task: Task, share: Share): void {
    share.taken += 1
    const controller = new AbortController()
    this.#underWay.set(task, controller)
    void this.#prepare(task, controller.signal).then((outcome) => {
      if (!this.#underWay.delete(task)) return
      task.prepared = outcome
      this.#ready(task)
    })
  }

  async #prepare({ handled, message }: Task, signal: AbortSignal): Promise<Prepared | Unpreparable> {
    try {
      const opened = await message
      // Its turn brings out what is wrong with it.
      if (opened instanceof SpillwayError) return { value: undefined }
      return await handled!.preparation!.prepare(opened, signal)
    } catch (thrown) {
      return { thrown }
    }
  }

  #free(task: Task): void {
    const share = this.#shareOf(task)
    share.taken -= 1
    const next = share.line.shift()
    if (next) this.#begin(next, share)
  }

  #shareOf({ handled }: Task): Share {
    const { type } = handled!.contract
    const share = this.#shares.get(type) ?? { taken: 0, line: [] }
    this.#shares.set(type, share)
    return share
  }
}

/** Nothing is to be prepared for an event that is not going to run. */
export function needsPreparing(task: Task, isSetAside: boolean): boolean {
  if (!task.handled?.preparation || task.prepared || isSetAside) return false
  return !(task.message instanceof SpillwayError) && task.killed < task.policy.retry.attempts
}

// Coalescing: which version of each key a handler was shown while this partition was held, so that events about no later one are passed over.
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import type { Whence } from './group-entry.ts'
import type { Handled } from './plan.ts'
import type { Prepared, Unpreparable } from './preparation.ts'

/** As much of a task as matters here. */
interface ShownTask {
  readonly handled: Handled | undefined
  readonly message: Message | SpillwayError | Promise<Message | SpillwayError>
  readonly whence: Whence
  readonly record: { readonly key: string | undefined }
  readonly prepared: Prepared | Unpreparable | undefined
}

/** Of how many keys it is remembered what their handlers were shown. */
const mostShown = 10_000

/** Which version of each key a handler was shown and succeeded with. Forgetting only means that a handler runs once more. */
export class Shown {
  readonly #versions = new Map<string, number>()

  isCovered(task: ShownTask): boolean {
    const { handled, message, whence, record } = task
    // Who has an event handled again wants it handled.
    if (whence !== 'stream' || !handled?.preparation?.versionOf) return false
    if (message instanceof Promise || message instanceof SpillwayError) return false
    const shown = this.#versions.get(nameOf(handled.contract.type, record.key))
    return shown !== undefined && handled.preparation.versionOf(message) <= shown
  }

  /** A handler succeeded with what was prepared. */
  add({ handled, prepared, record }: ShownTask): void {
    if (!handled?.preparation?.versionOf || !prepared || 'thrown' in prepared) return
    if (prepared.version === undefined) return
    const name = nameOf(handled.contract.type, record.key)
    const before = this.#versions.get(name) ?? 0
    this.#versions.delete(name)
    this.#versions.set(name, Math.max(before, prepared.version))
    if (this.#versions.size > mostShown) this.#versions.delete(this.#versions.keys().next().value!)
  }
}

function nameOf(type: string, key: string | undefined): string {
  return `${type} ${key ?? ''}`
}

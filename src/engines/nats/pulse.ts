// How the members of a group hear that the others live: beats on a plain subject. A member's own beat, when it comes
// back, proves that everything the others said before it was sent has been heard: only silence up to then counts.
import { systemClock } from '../../core/clock.ts'
import type { RosterMember } from './assignment.ts'
import type { Link } from './link.ts'
import type { Mailbox } from './mailbox.ts'

export interface PulseListener {
  /** Another member knows a newer roster. */
  newer(): void
  /** Our own beat came back that was sent at this time, by `performance.now()`. */
  echo(sentAt: number): void
}

export class Pulse {
  readonly #link: Link
  readonly #subject: string
  readonly #id: string
  readonly #everyMs: number
  readonly #listener: PulseListener
  readonly #heardAt = new Map<string, number>()
  readonly #mailbox: Mailbox
  readonly #forget: () => void
  #baseline = performance.now()
  #revision = 0
  #cancel = (): void => {}
  #closed = false

  constructor(link: Link, subject: string, id: string, everyMs: number, listener: PulseListener) {
    this.#link = link
    this.#subject = subject
    this.#id = id
    this.#everyMs = everyMs
    this.#listener = listener
    this.#mailbox = link.subscribe(subject, (message) => this.#hear(message.string()))
    this.#forget = link.listen({
      back: () => {
        // What was said meanwhile went unheard.
        this.#baseline = performance.now()
        listener.newer()
        this.beat()
      },
    })
  }

  /** Says that we live and what we know; from now on again and again. */
  beat(revision: number = this.#revision): void {
    if (this.#closed) return
    this.#revision = Math.max(this.#revision, revision)
    this.#cancel()
    this.#cancel = systemClock.after(this.#everyMs, () => this.beat())
    if (this.#link.up) this.#link.publish(this.#subject, `${this.#id} ${this.#revision} ${performance.now()}`)
  }

  /** Those that were silent for their session, up to this time. */
  silent(members: readonly RosterMember[], until: number): string[] {
    const dead = members.filter(({ id, sessionMs }) => {
      if (id === this.#id) return false
      const heardAt = this.#heardAt.get(id)
      if (heardAt === undefined) this.#heardAt.set(id, performance.now())
      return heardAt !== undefined && until - Math.max(heardAt, this.#baseline) > sessionMs
    })
    return dead.map(({ id }) => id)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
    this.#forget()
    this.#mailbox.close()
  }

  #hear(beat: string): void {
    const [id = '', revision, sentAt] = beat.split(' ')
    this.#heardAt.set(id, performance.now())
    if (Number(revision) > this.#revision) this.#listener.newer()
    if (id === this.#id) this.#listener.echo(Number(sentAt))
  }
}

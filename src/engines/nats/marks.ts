// Marks: what the server does not keep about a message that was given back or is to be tried again. Each is a subject
// without content, `mark.<sequence>.<delivery>.<releases>.<state>`, and all that it says is in its name.
import type { Api, ConsumerInfo } from './api.ts'
import type { KnownQueue } from './queues.ts'

export interface Mark {
  readonly sequence: number
  /** Which delivery ended with it. */
  readonly delivery: number
  /** How many of the deliveries up to that one were given back, and do not count as starts. */
  readonly releases: number
  /** When it is due, epoch milliseconds; undefined while it is leased again. */
  readonly dueAt: number | undefined
}

const leased = 'leased'

export class Marks {
  readonly #api: Api

  constructor(api: Api) {
    this.#api = api
  }

  /** Resolves when it is stored. */
  async put(queue: KnownQueue, mark: Mark): Promise<void> {
    await this.#api.persist((ms) => this.#api.store(subjectOf(queue, mark), '', undefined, ms))
  }

  /** Of a message; the newest when a removal was lost. */
  async find(queue: KnownQueue, sequence: number): Promise<Mark | undefined> {
    const [marks] = await this.#list(queue, `${queue.names.mark}.${sequence}.>`)
    return marks.sort((a, b) => a.delivery - b.delivery).at(-1)
  }

  /** Not awaited: a mark too many is corrected by the next claim. */
  remove(queue: KnownQueue, mark: Mark): void {
    const filter = JSON.stringify({ filter: subjectOf(queue, mark) })
    this.#api.link.publish(this.#api.subject(`STREAM.PURGE.${queue.names.stream}`), filter)
  }

  /** All marks of a queue, and how many dead letters it has. */
  async all(queue: KnownQueue): Promise<readonly [marks: Mark[], dead: number]> {
    return await this.#list(queue, `${queue.names.work.slice(0, -'work'.length)}>`)
  }

  /** Without those left over, which are removed: of messages that ended, or that the server forgot to have delivered when it died. */
  current(queue: KnownQueue, marks: readonly Mark[], consumer: ConsumerInfo | undefined): Mark[] {
    if (consumer === undefined) return []
    const ended = consumer.ack_floor.stream_seq
    const delivered = consumer.delivered.stream_seq
    return marks.filter((mark) => {
      const holds = mark.sequence > ended && mark.sequence <= delivered
      if (!holds) this.remove(queue, mark)
      return holds
    })
  }

  async #list(queue: KnownQueue, filter: string): Promise<readonly [marks: Mark[], dead: number]> {
    const info = await this.#api.streamInfo(queue.names.stream, filter)
    const subjects = info?.state.subjects ?? {}
    const start = `${queue.names.mark}.`
    const marks = Object.keys(subjects)
      .filter((subject) => subject.startsWith(start))
      .map((subject) => parse(subject.slice(start.length)))
    return [marks, subjects[queue.names.dead] ?? 0]
  }
}

function subjectOf(queue: KnownQueue, { sequence, delivery, releases, dueAt }: Mark): string {
  return `${queue.names.mark}.${sequence}.${delivery}.${releases}.${dueAt ?? leased}`
}

function parse(text: string): Mark {
  const [sequence, delivery, releases, due] = text.split('.')
  return {
    sequence: Number(sequence),
    delivery: Number(delivery),
    releases: Number(releases),
    dueAt: due === leased ? undefined : Number(due),
  }
}

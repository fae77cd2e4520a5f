// Sending: messages go to the lane of their queue, where those of several calls go together.
import { Buffer } from 'node:buffer'
import { missing } from '../../ports/capability.ts'
import type { OutgoingMessage } from '../../ports/queue.ts'
import type { Api } from './api.ts'
import type { Backlog } from './backlog.ts'
import { QueueLane } from './queue-lane.ts'
import { writeMessage } from './queue-message.ts'
import type { Queues } from './queues.ts'
import { tooLarge } from './stream-append.ts'
import { WriteCall } from './write-call.ts'

export class QueueSend {
  readonly #api: Api
  readonly #queues: Queues
  readonly #backlog: Backlog
  readonly #maxBodyBytes: number
  readonly #lanes = new Map<string, QueueLane>()

  constructor(api: Api, queues: Queues, backlog: Backlog, maxBodyBytes: number) {
    this.#api = api
    this.#queues = queues
    this.#backlog = backlog
    this.#maxBodyBytes = maxBodyBytes
  }

  async send(name: string, messages: readonly OutgoingMessage[]): Promise<void> {
    let bytes = 0
    const sizes = messages.map(({ body, delayMs }) => {
      if (delayMs !== undefined) throw missing('nats', 'queue', 'delay')
      const size = Buffer.byteLength(body)
      if (size > this.#maxBodyBytes) throw tooLarge(name, size, this.#maxBodyBytes)
      bytes += size
      return size
    })
    // Awaited only when it is news: otherwise the calls of one turn go in the order in which they were made.
    const queue = this.#queues.known(name) ?? (await this.#queues.get(name))
    if (messages.length === 0) return
    if (this.#backlog.full) await this.#backlog.admission(bytes)
    else this.#backlog.take(bytes)
    const call = new WriteCall(messages.length, performance.now() + this.#api.timeoutMs)
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = new QueueLane(this.#api, queue, () => this.#queues.check(name))
      this.#lanes.set(name, lane)
    }
    for (const [index, { id, key, body }] of messages.entries())
      lane.push({ payload: writeMessage({ id, key, token: 0, body }), bytes: sizes[index]!, call })
    try {
      await call.done
    } finally {
      this.#backlog.release(bytes)
    }
  }
}

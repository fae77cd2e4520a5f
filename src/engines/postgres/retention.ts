// What streams need not keep any longer goes in short transactions, off everybody's path, by one process at a time.
import { producerKeptMs } from '../../ports/producer.ts'
import type { Connection, Statement } from './connection.ts'

/** Records that one transaction removes. */
const atOnce = 2_000

interface Limited {
  readonly id: number
  readonly partitions: number
  readonly compacted: boolean
}

export class Retention {
  readonly #connection: Connection
  readonly #limited: Statement
  readonly #step: Statement
  readonly #compact: Statement
  readonly #forget: Statement
  readonly #timer: NodeJS.Timeout
  #closed = false
  #running: Promise<void> | undefined

  constructor(connection: Connection, schema: string, everyMs: number) {
    this.#connection = connection
    this.#limited = {
      name: 'spillway_limited_streams',
      text: `select id, partitions, tombstones_ms is not null as compacted
from ${schema}.stream where max_age_ms is not null or max_bytes is not null or tombstones_ms is not null`,
    }
    this.#step = {
      name: 'spillway_retain_step',
      text: `select reached::float8, more from ${schema}.retain_step($1, $2, $3, ${atOnce})`,
    }
    this.#compact = {
      name: 'spillway_compact_step',
      text: `select more from ${schema}.compact_step($1, $2, ${atOnce})`,
    }
    this.#forget = { name: 'spillway_forget_producers', text: `select ${schema}.forget_producers($1)` }
    this.#timer = setInterval(() => this.#begin(), everyMs)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#running
  }

  #begin(): void {
    // What fails is tried again at the next turn.
    this.#running ??= this.#run()
      .catch(() => {})
      .finally(() => {
        this.#running = undefined
      })
  }

  async #run(): Promise<void> {
    await this.#connection.run(this.#forget, [producerKeptMs])
    for (const stream of await this.#connection.run<Limited>(this.#limited, []))
      for (let partition = 0; partition < stream.partitions; partition++) {
        if (this.#closed) return
        const ours = await (stream.compacted
          ? this.#compactAll(stream, partition)
          : this.#retain(stream, partition))
        if (!ours) break
      }
  }

  async #compactAll({ id }: Limited, partition: number): Promise<boolean> {
    for (let more: boolean | null = true; more && !this.#closed; ) {
      const rows = await this.#connection.run<{ more: boolean | null }>(this.#compact, [id, partition])
      more = rows[0]!.more
      if (more === null) return false
    }
    return true
  }

  /** False when another process is at work in this stream. */
  async #retain({ id }: Limited, partition: number): Promise<boolean> {
    for (let from = 0; !this.#closed; ) {
      const values = [id, partition, from]
      const [step] = await this.#connection.run<{ reached: number | null; more: boolean }>(this.#step, values)
      if (step!.reached === null) return false
      if (!step!.more) break
      from = step!.reached
    }
    return true
  }
}

// The whole of it: members come and go while they read, and each record is handled once, in order.
import assert from 'node:assert/strict'
import type { StreamPort } from '../../../ports/stream.ts'
import { numbers } from '../sample.ts'
import { appended, inPartition } from '../stream/bench.ts'
import { eventually, pass, within } from '../wait.ts'
import { committed, type GroupBench, type GroupCase, groupBench } from './bench.ts'
import { Member } from './member.ts'

interface Handled {
  readonly partition: number
  readonly position: number
  readonly body: string
}

/** A member that reads what it holds from where the group is, handles it, commits, and drains when it must. */
class Worker {
  readonly #bench: GroupBench
  readonly #port: StreamPort
  readonly #handled: Handled[]
  readonly #next = new Map<number, number>()
  #member: Member | undefined
  #committing: Promise<unknown> = Promise.resolve()
  #running: Promise<void> | undefined
  #stopped = false

  constructor(bench: GroupBench, port: StreamPort, handled: Handled[]) {
    this.#bench = bench
    this.#port = port
    this.#handled = handled
  }

  async start(): Promise<void> {
    this.#member = await Member.join(this.#bench, this.#port, {
      draining: async (partitions) => {
        const last = partitions.flatMap((partition) => {
          const position = this.#next.get(partition)
          this.#next.delete(partition)
          return position === undefined ? [] : [{ partition, position }]
        })
        const results = await this.#commit(last)
        assert.ok(
          results.every((result) => result === 'committed'),
          `draining commits: ${results.join()}`,
        )
      },
    })
    this.#running = this.#run()
    // Its end is awaited in stop; until then a failure is not unhandled.
    this.#running.catch(() => {})
  }

  async stop(): Promise<void> {
    await within(2 * this.#bench.patienceMs, 'leaving', this.#member!.leave())
    this.#stopped = true
    await this.#running
  }

  /** Ends its loop where it is, for a case that failed. */
  abandon(): void {
    this.#stopped = true
  }

  /** One after another: an older position must not overtake a newer one. */
  #commit(positions: { partition: number; position: number }[]): Promise<string[]> {
    const commit = this.#committing.then(() => this.#member!.commit(positions))
    this.#committing = commit.catch(() => {})
    return commit
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (const [partition, position] of this.#member!.held)
        if (!this.#next.has(partition) && !this.#draining(partition)) this.#next.set(partition, position ?? 0)
      const from = [...this.#next].map(([partition, position]) => ({ partition, position }))
      if (from.length === 0) {
        await pass(10)
        continue
      }
      const options = { maxRecords: 8, maxBytes: 100_000, waitMs: 50 }
      const found = await this.#port.read(this.#bench.stream, from, options)
      const moved = new Map<number, number>()
      for (const { partition, position, body } of found) {
        // Given back while the read was under way: it is for the next holder.
        if (!this.#next.has(partition)) continue
        this.#handled.push({ partition, position, body })
        this.#next.set(partition, position + 1)
        moved.set(partition, position + 1)
      }
      if (moved.size > 0)
        await this.#commit([...moved].map(([partition, position]) => ({ partition, position })))
    }
  }

  /** Held on to only until its revocation is through. */
  #draining(partition: number): boolean {
    return this.#member!.draining.has(partition)
  }
}

export const workCases: readonly GroupCase[] = [
  {
    id: 'groups.work',
    title:
      'while members of two processes join and leave, every record is handled, once and in order when all drain',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 4)
      const total = 640
      const handled: Handled[] = []
      const workers = numbers(4).map((index) => new Worker(bench, index % 2 ? bench.two : bench.one, handled))
      const reach = (count: number) =>
        eventually(
          `${count} records are handled`,
          () => assert.ok(handled.length >= count, `${handled.length}`),
          2 * bench.patienceMs,
        )
      const append = async (round: number) => {
        const list = numbers(total / 4).map((index) => ({ partition: index % 4, body: `${round}-${index}` }))
        await appended(round % 2 ? bench.one : bench.two, bench.stream, list)
      }
      try {
        await append(0)
        await workers[0]!.start()
        await reach(20)
        await workers[1]!.start()
        await append(1)
        await reach(170)
        await workers[2]!.start()
        await workers[0]!.stop()
        await append(2)
        await reach(320)
        await workers[3]!.start()
        await workers[2]!.stop()
        await append(3)
        await reach(total)
        await workers[1]!.stop()
        await workers[3]!.stop()
      } finally {
        for (const worker of workers) worker.abandon()
      }
      assert.equal(handled.length, total, 'none twice')
      for (const partition of numbers(4)) {
        const positions = inPartition(handled, partition).map(({ position }) => position)
        assert.equal(positions.length, total / 4)
        assert.deepEqual(
          positions,
          [...positions].sort((a, b) => a - b),
          'in order over all members',
        )
        assert.equal((await committed(bench, bench.one))[partition], positions.at(-1)! + 1)
      }
      bench.ledger.check()
    },
  },
]

// The caller's end of the storage thread. What one turn of the event loop asks for crosses in one message, calls of the
// same kind merged into one operation with one promise; the answers of one commit come back in one message.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { asError, SpillwayError } from '../../core/errors.ts'
import { toError } from './native-error.ts'
import { type Slab, Slabs } from './slabs.ts'
import type {
  Answer,
  Answers,
  MemberNotice,
  Operation,
  ReadOperation,
  Report,
  StorageSetup,
  Turn,
  Wake,
  WriteOperation,
} from './wire.ts'

/** Bytes of bodies, and calls, that may be under way; beyond them callers wait, and beyond the second bounds they fail. */
export interface Bounds {
  readonly bytesUnderWay: number
  readonly callsWaiting: number
}

export const defaultBounds: Bounds = { bytesUnderWay: 16 * 1024 * 1024, callsWaiting: 100_000 }

/** An operation that was begun in a turn, with the promise that its callers share. */
export interface Pending<Op extends Operation> {
  readonly operation: Op
  readonly answer: Promise<Answers[Op['kind']]>
  readonly held: Slab[]
  bytes: number
}

interface Slot extends Pending<Operation> {
  readonly resolve: (value: never) => void
  readonly reject: (error: SpillwayError) => void
}

export interface StorageEvents {
  wake(wake: Wake | null): void
  notices(notices: readonly MemberNotice[]): void
  /** The thread ended without having been asked to. */
  failed(error: SpillwayError): void
}

type Opened = Extract<Report, { kind: 'opened' }>

export class Storage {
  readonly slabs: Slabs = new Slabs()
  /** Rises with every message that is posted: an operation of an earlier turn can no longer be added to. */
  turn = 0
  readonly #worker: Worker
  readonly #bounds: Bounds
  readonly #events: StorageEvents
  #begun: Slot[] = []
  readonly #writes: Slot[] = []
  readonly #reads: Slot[] = []
  #flushing = false
  #holds = 0
  #bytes = 0
  readonly #gate: { bytes: number; pass: () => void; refuse: (error: SpillwayError) => void }[] = []
  #ended: SpillwayError | undefined
  #closing = false
  #onClosed: (() => void) | undefined

  static open(
    setup: StorageSetup,
    bounds: Bounds,
    events: StorageEvents,
  ): Promise<{ storage: Storage; opened: Opened }> {
    return new Promise((resolve, reject) => {
      // The same file as this one, as source or built.
      const file = new URL(`./thread/main${extname(import.meta.url)}`, import.meta.url)
      const worker = new Worker(file, {
        workerData: setup,
        execArgv: ['--no-warnings'],
        name: 'spillway-sqlite',
      })
      const refuse = (error: unknown) => {
        void worker.terminate()
        reject(error)
      }
      worker.once('error', refuse)
      worker.once('message', (report: Report) => {
        worker.off('error', refuse)
        if (report.kind === 'refused') return refuse(toError(report.failure))
        resolve({ storage: new Storage(worker, bounds, events), opened: report as Opened })
      })
    })
  }

  private constructor(worker: Worker, bounds: Bounds, events: StorageEvents) {
    this.#worker = worker
    this.#bounds = bounds
    this.#events = events
    worker.on('message', (report: Report) => this.#take(report))
    worker.on('error', (error) => this.#end(error))
    worker.on('exit', () => this.#end(undefined))
    worker.unref()
  }

  /**
   * Reserves room for bytes: undefined when there is some now, else a promise for the moment when there is. Callers are
   * let through in their order, one at least, however large its call is. The caller adds them to its operation's
   * `bytes` at once, and they are given back with the answer.
   */
  admit(bytes: number): Promise<void> | undefined {
    this.#checkOpen()
    if (this.#gate.length === 0 && this.#fits(bytes)) {
      this.#bytes += bytes
      return undefined
    }
    if (this.#gate.length >= this.#bounds.callsWaiting)
      throw new SpillwayError('BACKLOG_FULL', `${this.#gate.length} calls wait for the disk already.`, {
        engine: 'sqlite',
      })
    return new Promise((pass, refuse) => this.#gate.push({ bytes, pass, refuse }))
  }

  #fits(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#bounds.bytesUnderWay
  }

  /** Begins an operation; until the turn is over its arrays may be added to. */
  begin<Op extends Operation>(operation: Op): Pending<Op> {
    this.#checkOpen()
    let resolve!: (value: never) => void
    let reject!: (error: SpillwayError) => void
    const answer = new Promise<never>((good, bad) => {
      resolve = good
      reject = bad
    })
    const slot: Slot = { operation, answer, held: [], bytes: 0, resolve, reject }
    this.#begun.push(slot)
    this.hold()
    if (!this.#flushing) {
      this.#flushing = true
      // After the microtasks of this turn: all callers that the last answers woke have made their next call by then.
      process.nextTick(() => this.#flush())
    }
    return slot as unknown as Pending<Op>
  }

  ask<Op extends Operation>(operation: Op): Promise<Answers[Op['kind']]> {
    return this.begin(operation).answer
  }

  /** Keeps the process alive until `release`: while a call is under way or waits. Nothing else does. */
  hold(): void {
    if (this.#holds++ === 0) this.#worker.ref()
  }

  release(): void {
    if (--this.#holds === 0) this.#worker.unref()
  }

  /** Ends the thread after what was asked so far. The events are silent from then on. */
  async close(): Promise<void> {
    if (this.#ended !== undefined || this.#closing) return
    this.#closing = true
    for (const waiting of this.#gate.splice(0)) waiting.refuse(closedError())
    this.hold()
    await Promise.allSettled([...this.#begun, ...this.#writes, ...this.#reads].map((slot) => slot.answer))
    if (this.#ended !== undefined) return
    const closed = new Promise<void>((resolve) => {
      this.#onClosed = resolve
    })
    this.#worker.postMessage('close')
    await closed
  }

  #checkOpen(): void {
    if (this.#ended !== undefined) throw this.#ended
    if (this.#closing) throw closedError()
  }

  #flush(): void {
    this.#flushing = false
    this.turn++
    const begun = this.#begun
    this.#begun = []
    const writes: WriteOperation[] = []
    const reads: ReadOperation[] = []
    for (const slot of begun) {
      if (isRead(slot.operation)) {
        this.#reads.push(slot)
        reads.push(slot.operation)
      } else {
        this.#writes.push(slot)
        writes.push(slot.operation)
      }
    }
    const { added, dropped } = this.slabs
    this.slabs.added = []
    this.slabs.dropped = []
    this.#worker.postMessage({ slabs: added, writes, reads, dropped } satisfies Turn)
  }

  #take(report: Report): void {
    switch (report.kind) {
      case 'answers': {
        this.#settle(report.lane === 'writes' ? this.#writes : this.#reads, report.answers)
        if (report.wake !== null && !this.#closing) this.#events.wake(report.wake)
        return
      }
      case 'wake':
        if (!this.#closing) this.#events.wake(report.wake)
        return
      case 'notices':
        this.#events.notices(report.notices)
        return
    }
  }

  #settle(lane: Slot[], answers: readonly Answer[]): void {
    for (const [index, slot] of lane.splice(0, answers.length).entries()) {
      const answer = answers[index]!
      this.#bytes -= slot.bytes
      this.slabs.release(slot.held)
      this.release()
      if ('failure' in answer) slot.reject(toError(answer.failure))
      else slot.resolve(answer.ok as never)
    }
    let through = 0
    for (; through < this.#gate.length && this.#fits(this.#gate[through]!.bytes); through++) {
      this.#bytes += this.#gate[through]!.bytes
      this.#gate[through]!.pass()
    }
    this.#gate.splice(0, through)
  }

  #end(error: unknown): void {
    if (this.#ended !== undefined) return
    if (this.#onClosed !== undefined) {
      this.#ended = closedError()
      this.#onClosed()
      return
    }
    const why = error === undefined ? '' : `: ${asError(error).message}`
    this.#ended = new SpillwayError('ENGINE_FAILED', `The storage thread ended unexpectedly${why}.`, {
      engine: 'sqlite',
      cause: error,
    })
    for (const slot of [...this.#begun, ...this.#writes, ...this.#reads]) slot.reject(this.#ended)
    for (const waiting of this.#gate.splice(0)) waiting.refuse(this.#ended)
    if (!this.#closing) this.#events.failed(this.#ended)
  }
}

const readKinds = new Set<Operation['kind']>([
  'findQueue',
  'queueNames',
  'peek',
  'count',
  'schedules',
  'deadLetters',
  'finished',
  'findStream',
  'streamNames',
  'read',
  'readKey',
  'bounds',
  'positionsAt',
  'committed',
  'groupNames',
] satisfies ReadOperation['kind'][])

function isRead(operation: Operation): operation is ReadOperation {
  return readKinds.has(operation.kind)
}

export function closedError(): SpillwayError {
  return new SpillwayError('CLOSED', 'The SQLite engine was closed.', { engine: 'sqlite' })
}

// The limit port on a file that the processes of one machine share. Its thread is started by the first call.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { asError, SpillwayError } from '../../../core/errors.ts'
import { checkExchange, type LimitExchange, type LimitPort, type LimitVerdict } from '../../../ports/limit.ts'
import { toError } from '../native-error.ts'
import { closedError } from '../storage.ts'
import type { LimitAnswer, LimitCall, LimitMessage, LimitReport, LimitSetup } from './wire.ts'

/** Requests that may be under way; beyond them calls fail. */
const underWay = 100_000

interface Slot {
  readonly call: LimitCall
  readonly resolve: (value: never) => void
  readonly reject: (error: SpillwayError) => void
}

export class SqliteLimit implements LimitPort {
  readonly statement: string =
    'In a file that the processes of this machine share: what was taken survives restarts and kill -9; a power failure may forget what the system had not written yet, usually the last half minute. Time in which the machine sleeps does not count.'
  readonly #setup: LimitSetup
  #worker: Worker | undefined
  /** Asked and not answered, in their order; the last `#begun` are not sent yet. */
  #slots: Slot[] = []
  #begun = 0
  #requests = 0
  #closing: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  constructor(setup: LimitSetup) {
    this.#setup = setup
  }

  async exchange(requests: readonly LimitExchange[]): Promise<LimitVerdict[]> {
    if (this.#closing) throw closedError()
    checkExchange('sqlite', requests)
    return this.#ask(requests)
  }

  async sweep(): Promise<number> {
    if (this.#closing) throw closedError()
    return this.#ask('sweep')
  }

  /** Resolves when what was asked is answered and the thread has ended. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #ask<T>(call: LimitCall): Promise<T> {
    if (this.#requests + weightOf(call) > underWay && this.#requests > 0)
      return Promise.reject(
        new SpillwayError('BACKLOG_FULL', `${this.#requests} requests wait for the buckets already.`, {
          engine: 'sqlite',
        }),
      )
    return new Promise<T>((resolve, reject) => {
      this.#slots.push({ call, resolve: resolve as (value: never) => void, reject })
      this.#requests += weightOf(call)
      // After the microtasks of this turn: all callers that the last answers woke have asked by then.
      if (this.#begun++ === 0) process.nextTick(() => this.#flush())
    })
  }

  #flush(): void {
    if (this.#begun === 0) return
    const calls = this.#slots.slice(-this.#begun).map(({ call }) => call)
    this.#begun = 0
    this.#worker ??= this.#start()
    this.#worker.ref()
    this.#worker.postMessage(calls satisfies LimitMessage)
  }

  #start(): Worker {
    // The same kind of file as this one, as source or built.
    const worker = new Worker(new URL(`./main${extname(import.meta.url)}`, import.meta.url), {
      workerData: this.#setup,
      execArgv: ['--no-warnings'],
      name: 'spillway-limits',
    })
    worker.on('message', (report: LimitReport) => {
      if ('refused' in report) this.#end(worker, toError(report.refused))
      else this.#settle(report)
    })
    worker.on('error', (thrown) => this.#end(worker, unexpected(thrown)))
    worker.on('exit', () => this.#end(worker, unexpected(undefined)))
    return worker
  }

  #settle(answers: readonly LimitAnswer[]): void {
    for (const [index, { call, resolve, reject }] of this.#slots.splice(0, answers.length).entries()) {
      const answer = answers[index]!
      this.#requests -= weightOf(call)
      if ('failure' in answer) reject(toError(answer.failure))
      else resolve(answer.ok as never)
    }
    if (this.#slots.length > 0) return
    this.#worker?.unref()
    this.#onIdle?.()
  }

  /** The thread is gone: nobody knows what it had done. The next call starts another. */
  #end(worker: Worker, error: SpillwayError): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    const slots = this.#slots
    this.#slots = []
    this.#begun = 0
    this.#requests = 0
    for (const { reject } of slots) reject(error)
    this.#onIdle?.()
  }

  async #close(): Promise<void> {
    if (this.#slots.length > 0)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    const worker = this.#worker
    if (worker === undefined) return
    worker.ref()
    const ended = new Promise((resolve) => worker.once('exit', resolve))
    worker.postMessage('close' satisfies LimitMessage)
    await ended
  }
}

function weightOf(call: LimitCall): number {
  return call === 'sweep' ? 1 : call.length
}

function unexpected(cause: unknown): SpillwayError {
  const why = cause === undefined ? '' : `: ${asError(cause).message}`
  return new SpillwayError('ENGINE_FAILED', `The thread of the buckets ended unexpectedly${why}.`, {
    engine: 'sqlite',
    ...(cause === undefined ? {} : { cause }),
  })
}

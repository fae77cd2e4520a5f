// One run of what answers a command, up to its commit.
import type { CallContract, FailureSchemas } from '../../core/call-contract.ts'
import { asError, SpillwayError } from '../../core/errors.ts'
import { runInside } from '../../core/scope.ts'
import { isThenable, onceAwaited } from '../../core/thenable.ts'
import type { Database } from '../../ports/database.ts'
import { type Tx, Unit, type UnitHome } from '../../transaction/unit.ts'
import { type CommandContext, type CommandHandler, failOf, Refusal } from './answer.ts'
import type { IncomingCall } from './incoming-call.ts'
import { commandCalling } from './nested-calling.ts'
import { encode, type Reply } from './reply.ts'
import { type Asked, readStored, reused, type StoredAnswer, writeStored } from './stored-answer.ts'

export interface Command<Db> {
  readonly contract: CallContract
  readonly handler: CommandHandler<unknown, unknown, Db, FailureSchemas>
  readonly home: UnitHome<Db>
  readonly database: Database<Db>
  /** What its keys stand under in the inbox. The versions of a call share them. */
  readonly consumer: string
}

export interface Ended {
  readonly stored: StoredAnswer
  /** False when another run with the same key had committed before. */
  readonly own: boolean
}

export class CommandRun<Db> {
  readonly #command: Command<Db>
  readonly #asked: Asked
  readonly #call: IncomingCall
  readonly #unit: Unit<Db>
  readonly #key: string
  #reply: Reply | undefined
  /** What another run had stored. */
  #found: StoredAnswer | undefined
  #committing = false

  constructor(command: Command<Db>, asked: Asked, call: IncomingCall) {
    const { key = '', correlation, traceparent, tracestate } = call.facts
    this.#command = command
    this.#asked = asked
    this.#call = call
    this.#key = key
    const cause = {
      id: key,
      ...(correlation === undefined ? {} : { correlationid: correlation }),
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(tracestate === undefined ? {} : { tracestate }),
    }
    this.#unit = new Unit<Db>(command.home, cause, () => {
      if (call.ended !== undefined) throw call.error()
      return { inbox: { consumer: command.consumer, ids: [key], answer: () => this.#written() } }
    })
  }

  /** Everything of the transaction was said, but its commit: what is thrown then says nothing about it. */
  get isCommitting(): boolean {
    return this.#committing
  }

  /** Rejects with what the handler threw, or the commit; then nothing is known to be stored. */
  async run(input: unknown): Promise<Ended> {
    const { contract, handler } = this.#command
    const commits: Promise<unknown>[] = []
    const context = this.#context(commits)
    let returned: unknown
    let failure: { readonly thrown: unknown } | undefined
    try {
      returned = await runInside(`the answer of ${contract.type}`, () => handler(input, context))
    } catch (thrown) {
      failure = { thrown }
    }
    // Nobody waits for these any more; how the one under way ends is judged here.
    for (const commit of commits) commit.catch(() => {})
    try {
      await this.#unit.committing
      if (!failure && !this.#unit.outcome) {
        const reply = encode(contract, returned)
        this.#reply = reply instanceof Promise ? await reply : reply
        await this.#unit.commit()
      }
    } catch (thrown) {
      failure ??= { thrown }
    }
    if (this.#unit.outcome === undefined) throw failure?.thrown
    // What was committed stays committed, and is the answer.
    if (failure && this.#unit.outcome === 'committed') this.#reportLate(failure.thrown)
    if (this.#unit.outcome === 'duplicate') return { stored: await this.#other(), own: false }
    return { stored: this.#stored(), own: true }
  }

  #context(commits: Promise<unknown>[]): CommandContext<Db> {
    const unit = this.#unit
    const call = this.#call
    const { home, contract } = this.#command
    const calls = {
      name: `the answer of ${contract.type}`,
      type: contract.type,
      key: this.#key,
      committing: () => unit.committing !== undefined,
    }
    let calling: CommandContext<Db>['call'] | undefined
    return {
      fail: failOf(contract),
      // Made when it is asked for: most answers call nobody.
      get call() {
        calling ??= commandCalling(home, calls, call)
        return calling
      },
      caller: call.facts.caller,
      key: this.#key,
      get signal() {
        return call.signal
      },
      publish: (event, data, options) => unit.sender.publish(event, data, options),
      send: (queue, data, options) => unit.sender.send(queue, data, options),
      cancel: ({ queue }, id) => home.cancel(queue, id),
      commit: (work) => {
        const commit = this.#commit(work as (tx: Tx<Db>) => unknown)
        commits.push(commit)
        return commit as Promise<never>
      },
    }
  }

  async #commit(work: (tx: Tx<Db>) => unknown): Promise<unknown> {
    const outcome = await this.#unit.commit((tx) => this.#noting(work(tx)))
    if (outcome === 'committed') return this.#unit.result
    const stored = await this.#other()
    const why = reused(this.#command.contract, this.#asked, stored)
    if (why !== undefined) throw new SpillwayError('KEY_REUSED', why)
    return said(stored)
  }

  /** The result of the work, checked and encoded inside the transaction. A query that begins when it is awaited must not begin here. */
  #noting(result: unknown): unknown {
    if (result instanceof Promise) return result.then((value) => this.#note(value))
    if (isThenable(result)) return onceAwaited(async () => this.#note(await result))
    return this.#note(result)
  }

  #note(value: unknown): unknown {
    const reply = encode(this.#command.contract, value)
    const keep = (known: Reply) => {
      this.#reply = known
      return value
    }
    return reply instanceof Promise ? reply.then(keep) : keep(reply)
  }

  #written(): string {
    this.#committing = true
    return writeStored(this.#stored())
  }

  #stored(): StoredAnswer {
    if (!this.#reply) throw new SpillwayError('INTERNAL', `${this.#command.contract.type} has no answer.`)
    return { ...this.#asked, status: this.#reply.status, body: this.#reply.body }
  }

  async #other(): Promise<StoredAnswer> {
    const { database, consumer, contract } = this.#command
    if (this.#found) return this.#found
    // It was done: if that cannot be read now, nobody may say that it was not.
    this.#committing = true
    const text = await database.answer(consumer, this.#key)
    if (text === undefined)
      throw new SpillwayError(
        'INTERNAL',
        `The key ${this.#key} of ${contract.type} was used and has no answer.`,
      )
    this.#found = readStored(text)
    return this.#found
  }

  #reportLate(thrown: unknown): void {
    const { contract, home } = this.#command
    const what = `What answers ${contract.type} threw after its commit: ${asError(thrown).message}.`
    const remedy = 'What it committed stays committed, and is the answer.'
    const error = new SpillwayError('ANSWER_FAILED', what, { cause: thrown, retryable: false, remedy })
    home.onReport?.({ from: `the answer of ${contract.type}`, error, messageId: this.#key })
  }
}

/** What a handler would have returned for this answer. */
function said({ status, body }: StoredAnswer): unknown {
  const value: unknown = body === '' ? undefined : JSON.parse(body)
  if (status === 200) return value
  const { failure, data } = value as { readonly failure: string; readonly data: unknown }
  return new Refusal(failure, data)
}

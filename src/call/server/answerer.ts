// Answers one version of one call: the input is checked, the call waits for its turn, its handler runs within the deadline of who asks.
import type { CallContract, FailureSchemas } from '../../core/call-contract.ts'
import { asError, isSpillwayError, SpillwayError } from '../../core/errors.ts'
import { type Checked, check } from '../../core/schema.ts'
import { runInside } from '../../core/scope.ts'
import { wholeOption } from '../../core/whole-option.ts'
import type { CallLimits } from '../../limit/calls.ts'
import type { Decision } from '../../limit/decision.ts'
import type { UnitHome } from '../../transaction/unit.ts'
import { Bulkhead } from '../bulkhead.ts'
import { longestDeadlineMs } from '../wire.ts'
import { type CommandHandler, failOf, type QueryContext, type QueryHandler } from './answer.ts'
import type { IncomingCall } from './incoming-call.ts'
import { queryCalling } from './nested-calling.ts'
import { encode, limited, overloaded, problemReply, type Reply, refusedInput } from './reply.ts'

export interface AnswerOptions {
  /** How many of this call this process answers at the same time. Default 100. */
  readonly concurrency?: number
  /** How many more wait for their turn; what comes beyond is told to ask again later. Default 100. */
  readonly waiting?: number
  /** Which calls are let in, by `limitCalls`. Default: those of the service. */
  readonly limits?: CallLimits
}

/** A call and what answers it. */
export type Answering<Db> = { readonly call: CallContract; readonly options: AnswerOptions } & (
  | { readonly query: QueryHandler<unknown, unknown, Db, FailureSchemas>; readonly command?: undefined }
  | { readonly command: CommandHandler<unknown, unknown, Db, FailureSchemas>; readonly query?: undefined }
)

/** Gives the reply to a checked input; `raw` is what was sent for it. Rejects only with what the handler threw. */
type Give = (input: unknown, call: IncomingCall, raw: unknown) => Promise<Reply>

/** What a listener asks. */
export type Answers = Pick<Answerer, 'contract' | 'answer'>

export class Answerer {
  readonly contract: CallContract
  readonly #give: Give
  readonly #bulkhead: Bulkhead
  readonly #limits: CallLimits | undefined
  readonly #home: Pick<UnitHome<unknown>, 'onReport' | 'clock'>

  constructor(
    contract: CallContract,
    give: Give,
    home: Pick<UnitHome<unknown>, 'onReport' | 'clock'>,
    options: AnswerOptions,
  ) {
    this.contract = contract
    this.#give = give
    this.#home = home
    this.#limits = options.limits
    this.#bulkhead = new Bulkhead(
      {
        concurrency: wholeOption(options.concurrency ?? 100, 'concurrency of answer()', 1, 10_000),
        waiting: wholeOption(options.waiting ?? 100, 'waiting of answer()', 0, 10_000),
        // Each call has a deadline of its own, and none a longer one.
        longestWait: longestDeadlineMs,
      },
      home.clock,
    )
  }

  /** Always resolves, at the latest when the call ends. What is then still running goes on, and keeps its place, until it has ended. */
  answer(input: unknown, call: IncomingCall): Promise<Reply> {
    return new Promise((resolve) => {
      let begun = false
      call.onEnd(() => resolve(begun ? this.#late(call) : this.#notBegun(call)))
      const begin = () => {
        begun = true
      }
      void this.#answer(input, call, begin).then(resolve)
    })
  }

  async #answer(input: unknown, call: IncomingCall, begin: () => void): Promise<Reply> {
    const { type } = this.contract
    const result = check(this.contract.input, input)
    const checked: Checked<unknown> = result instanceof Promise ? await result : result
    if (!checked.ok) return refusedInput(type, checked)
    if (call.isAborted) return this.#notBegun(call)
    if (this.#limits === undefined) return this.#run(checked.value, call, input, begin)
    let decision: Decision
    try {
      const entered = this.#enter(this.#limits, checked.value, call)
      decision = entered instanceof Promise ? await entered : entered
    } catch (thrown) {
      return this.#failed(thrown, call)
    }
    if (!decision.allowed)
      return decision.reason === 'cancelled' ? this.#notBegun(call) : limited(type, decision)
    // A store may have answered late: who asked was told that nothing was begun.
    if (call.isAborted) {
      decision.refund()
      return this.#notBegun(call)
    }
    let begun = false
    try {
      return await this.#run(checked.value, call, input, () => {
        begun = true
        begin()
      })
    } finally {
      // What was let in and had no place after all was not done.
      if (begun) decision.release(call.isAborted ? 'dropped' : 'done')
      else decision.refund()
    }
  }

  #enter(limits: CallLimits, input: unknown, call: IncomingCall): Decision | Promise<Decision> {
    const { caller, from } = call.facts
    return limits.enter({ on: this.contract.type, input, caller, address: from }, () => call.signal)
  }

  async #run(input: unknown, call: IncomingCall, raw: unknown, begin: () => void): Promise<Reply> {
    const { type } = this.contract
    if (!this.#bulkhead.tryEnter()) {
      const refusal = await this.#bulkhead.enter({ signal: call.signal })
      if (refusal?.reason === 'bulkhead_full')
        return overloaded(`As many calls of ${type} are under way and waiting as are taken.`)
      if (refusal) return this.#notBegun(call)
    }
    begin()
    try {
      return await this.#give(input, call, raw)
    } catch (thrown) {
      return this.#failed(thrown, call)
    } finally {
      this.#bulkhead.leave()
    }
  }

  /** What was thrown stays here: it may name rows, statements and addresses, of which who asks can make nothing. */
  #failed(thrown: unknown, call: IncomingCall): Reply {
    const { type } = this.contract
    const { key } = call.facts
    if (!call.isAborted || !isAbort(thrown, call)) {
      const what = `What answers ${type} threw: ${asError(thrown).message}.`
      const error = new SpillwayError('ANSWER_FAILED', what, {
        cause: thrown,
        remedy: 'Nothing was stored, and the caller may ask again.',
      })
      this.#home.onReport?.({ from: `the answer of ${type}`, error, messageId: key })
    }
    return problemReply(500, 'ANSWER_FAILED', `What answers ${type} threw.`)
  }

  #notBegun(call: IncomingCall): Reply {
    return overloaded(`${this.contract.type} was not begun: ${call.error().message}`)
  }

  #late(call: IncomingCall): Reply {
    const { type } = this.contract
    return problemReply(504, 'DEADLINE', `${type} was not answered in time: ${call.error().message}`)
  }
}

/** Answers queries: nothing is stored. */
export function queryAnswerer<Db>(
  home: UnitHome<Db>,
  contract: CallContract,
  handler: QueryHandler<unknown, unknown, Db, FailureSchemas>,
  options: AnswerOptions,
): Answerer {
  const fail = failOf(contract)
  const name = `the answer of ${contract.type}`
  const give: Give = async (input, call) => {
    const context: QueryContext<Db> = {
      fail,
      caller: call.facts.caller,
      call: queryCalling(home, name, call),
      get signal() {
        return call.signal
      },
      get db() {
        if (home.database) return home.database.db
        throw new SpillwayError('NO_DATABASE', `${name} asked for the database of ${home.context}.`)
      },
    }
    return encode(contract, await runInside(name, () => handler(input, context)))
  }
  return new Answerer(contract, give, home, options)
}

function isAbort(thrown: unknown, call: IncomingCall): boolean {
  return (
    thrown === call.signal.reason ||
    isSpillwayError(thrown, 'ABORTED') ||
    (thrown instanceof Error && thrown.name === 'AbortError')
  )
}

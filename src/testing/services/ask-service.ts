// A call is asked of a tested service: checked as by its caller, answered as in production, without a network.

import { encodeInput } from '../../call/client/input.ts'
import { judgeAnswer } from '../../call/client/judge.ts'
import type { Answerer } from '../../call/server/answerer.ts'
import { answerersOf } from '../../call/server/answerers.ts'
import { IncomingCall } from '../../call/server/incoming-call.ts'
import type { CallContract, FailureSchemas, ReceivedFailure } from '../../core/call-contract.ts'
import type { CallFailed, CallOk } from '../../core/call-result.ts'
import { type Duration, milliseconds } from '../../core/duration.ts'
import { SpillwayError } from '../../core/errors.ts'
import { newId } from '../../core/id.ts'
import type { OutboxMessage } from '../../ports/database.ts'
import type { Service } from '../../topology/service.ts'
import { keepMsOf } from '../../transaction/age-gate.ts'
import type { Cancelled, Kept } from './kept.ts'
import { Sent } from './sent.ts'

export interface AskServiceOptions {
  /** The idempotency key of a command: the same again is the same call. Default: a new one. */
  readonly key?: string
  /** Who asks: the name of its context, and what `authenticate` would return. */
  readonly caller?: { readonly context?: string; readonly identity?: unknown }
  /** Default: that of the contract. */
  readonly deadline?: Duration
}

/** How a call ended, as its caller learns it. Unknown: the deadline passed. */
export type AnsweredAs<Answered, Failures extends FailureSchemas> =
  | CallOk<Answered>
  | ReceivedFailure<Failures>
  | CallFailed
  | { readonly status: 'unknown'; readonly error: SpillwayError }

/** What came of a call: the result of its caller, and what only a test wants to know. */
export class ThenAnswered<Answered, Failures extends FailureSchemas> extends Sent {
  readonly result: AnsweredAs<Answered, Failures>
  /** It was stored before: nothing ran. */
  readonly replayed: boolean
  /** What the handler threw, which its caller is not told. */
  readonly error: Error | undefined

  constructor(
    result: AnsweredAs<Answered, Failures>,
    replayed: boolean,
    error: Error | undefined,
    sent: readonly OutboxMessage[],
    cancelled: readonly Cancelled[],
  ) {
    super(sent, cancelled)
    this.result = result
    this.replayed = replayed
    this.error = error
  }
}

/** What asks the calls of a service. */
export class ServiceCalls<Db> {
  readonly #service: Service<Db>
  readonly #kept: Kept<Db>
  #answerers: readonly Answerer[] | undefined

  constructor(service: Service<Db>, kept: Kept<Db>) {
    this.#service = service
    this.#kept = kept
  }

  async ask(of: CallContract, input: unknown, options: AskServiceOptions = {}): Promise<unknown> {
    const { clock } = this.#kept
    const answerer = this.#answererOf(of)
    const body = await encodeInput(answerer.contract, input)
    if (typeof body !== 'string') throw body
    const { key, caller = {}, deadline } = options
    const { type, deadlineMs, kind } = answerer.contract
    const facts = {
      deadlineMs: deadline === undefined ? deadlineMs : milliseconds(deadline, 'deadline'),
      caller: { context: caller.context, identity: caller.identity },
      // A key that the test names may have been used before.
      ...(kind === 'command' ? { key: key ?? newId(), keyAgeMs: key === undefined ? 0 : 1 } : {}),
    }
    this.#kept.begin('removed')
    const call = new IncomingCall(type, facts, clock)
    const reply = await answerer.answer(body === '' ? undefined : JSON.parse(body), call)
    call.close()
    const said: unknown = reply.body === '' ? undefined : JSON.parse(reply.body)
    const judged = await judgeAnswer(answerer.contract, reply.status, said)
    const result =
      judged.kind === 'settled'
        ? judged.settled
        : judged.kind === 'refused'
          ? { status: 'failed', reason: 'error', data: undefined, error: judged.error }
          : { status: 'unknown', error: judged.error }
    return new ThenAnswered(
      result as AnsweredAs<unknown, FailureSchemas>,
      reply.replayed === true,
      thrownBy(this.#kept.error),
      this.#kept.messages,
      this.#kept.cancelled,
    )
  }

  #answererOf({ type, version }: CallContract): Answerer {
    const keepMs = keepMsOf(this.#service.inbox?.keep)
    this.#answerers ??= answerersOf({ ...this.#kept.home, keepMs }, this.#service.answers)
    const found = this.#answerers.find(
      ({ contract }) => contract.type === type && contract.version === version,
    )
    if (found) return found
    const what = `The service of ${this.#service.context.name} does not answer version ${version} of ${type}.`
    throw new SpillwayError('CONFIGURATION', what, {
      remedy: 'Nothing was asked. Name a call that it answers.',
    })
  }
}

function thrownBy(error: SpillwayError | undefined): Error | undefined {
  return error?.cause instanceof Error ? error.cause : error
}

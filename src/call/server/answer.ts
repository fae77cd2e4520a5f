// What answers a call: the handler as its author writes it, what it is given, and how it says no.
import type { FailureSchemas } from '../../core/call-contract.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { InputOf } from '../../core/schema.ts'
import type { Calling } from '../../ports/call.ts'
import type { HandlerContext } from '../../transaction/handler.ts'
import type { Tx } from '../../transaction/unit.ts'

/** Who asks. */
export interface Caller {
  /** The context that it says it is: for people, no proof of anything. Undefined when it says nothing. */
  readonly context: string | undefined
  /** What `authenticate` returned; undefined where there is none. */
  readonly identity: unknown
}

/** An error that the contract declares, said instead of an answer. Made by `fail`. */
export class Refusal<Name extends string = string> {
  readonly failure: Name
  readonly data: unknown
  readonly #made = true

  constructor(failure: Name, data: unknown) {
    this.failure = failure
    this.data = data
  }

  static is(value: unknown): value is Refusal {
    return typeof value === 'object' && value !== null && #made in value
  }
}

type DataOf<Failures extends FailureSchemas, Name extends keyof Failures & string> =
  undefined extends InputOf<Failures[Name]>
    ? readonly [data?: InputOf<Failures[Name]>]
    : readonly [data: InputOf<Failures[Name]>]

/** Makes one of the errors that the contract declares: `return fail('soldOut', { product })`. It throws nothing. */
export type Fail<Failures extends FailureSchemas> = <Name extends keyof Failures & string>(
  name: Name,
  ...data: DataOf<Failures, Name>
) => Refusal<Name>

/** What a handler may return. */
export type AnswerOf<Answer, Failures extends FailureSchemas> = Answer | Refusal<keyof Failures & string>

/** What both kinds are given. */
export interface AnswerContext<Failures extends FailureSchemas = FailureSchemas> extends Calling {
  readonly fail: Fail<Failures>
  readonly caller: Caller
  /**
   * Fires when the deadline of the caller passed, when a stop has waited long enough, and when the caller gave up or was cut off. After the first two
   * nothing is committed; of a command whose caller is gone what goes on all the same may commit, and is the answer for who asks again.
   */
  readonly signal: AbortSignal
}

/** What the answer of a query is given. It changes nothing. */
export interface QueryContext<Db, Failures extends FailureSchemas = FailureSchemas>
  extends AnswerContext<Failures> {
  /** The service's own database, outside any transaction. NO_DATABASE where it has none. */
  readonly db: Db
}

/**
 * What the answer of a command is given. It does its outside I/O first; what it publishes and sends is gathered. At its end, or
 * when it calls `commit`, one short transaction stores the effects, the messages, the idempotency key and the answer: all of it, or nothing.
 */
export interface CommandContext<Db, Answer = unknown, Failures extends FailureSchemas = FailureSchemas>
  extends AnswerContext<Failures>,
    Pick<HandlerContext<Db>, 'publish' | 'send' | 'cancel'> {
  /** The idempotency key: the same for every time that the same thing is asked. */
  readonly key: string
  /**
   * Runs `work` in the transaction and commits; what `work` returns is the answer, and what this resolves with. Once for each
   * answer, as its last act. Rejects with what `work` threw, with INVALID_DATA when its answer does not satisfy the schema, with
   * DEADLINE when the caller's deadline passed before, with COMMIT_TWICE the second time. Resolves with the answer that was stored when
   * another process was first with the same key.
   */
  commit<Given extends AnswerOf<Answer, Failures>>(
    work: (tx: Tx<Db>) => Given | PromiseLike<Given>,
  ): Promise<Given>
}

/** Answers a query: returns the answer, or `fail(…)`. What it throws is told to nobody outside; the caller may ask again. */
export type QueryHandler<Asked, Answer, Db, Failures extends FailureSchemas> = (
  input: Asked,
  context: QueryContext<Db, Failures>,
) => AnswerOf<Answer, Failures> | PromiseLike<AnswerOf<Answer, Failures>>

/** Answers a command: as a query is answered, and what it did is committed with its answer. What it throws stores nothing. */
export type CommandHandler<Asked, Answer, Db, Failures extends FailureSchemas> = (
  input: Asked,
  context: CommandContext<Db, Answer, Failures>,
) => AnswerOf<Answer, Failures> | PromiseLike<AnswerOf<Answer, Failures>>

/** The `fail` of a contract. Throws INVALID_OPTION for an error that it does not declare: callers without types. */
export function failOf<Failures extends FailureSchemas>(contract: {
  readonly type: string
  readonly errors: Failures
}): Fail<Failures> {
  return (name, ...[data]) => {
    if (Object.hasOwn(contract.errors, name)) return new Refusal(name, data)
    throw new SpillwayError(
      'INVALID_OPTION',
      `${contract.type} declares no error ${name}; it has ${Object.keys(contract.errors).join(', ') || 'none'}.`,
    )
  }
}

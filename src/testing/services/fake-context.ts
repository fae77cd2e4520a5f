// A context that is not there, played by its contract: it listens on the loopback and refuses what the real one would refuse, because the same
// code reads its requests, checks them and keeps its answers; only what it answers is the test's.
import type { AnswerContext, AnswerOf } from '../../call/server/answer.ts'
import type { Answering, Answers } from '../../call/server/answerer.ts'
import { answerersOf } from '../../call/server/answerers.ts'
import type { Authenticate } from '../../call/server/authenticate.ts'
import { Listener } from '../../call/server/listener.ts'
import type { CallContract, FailureSchemas } from '../../core/call-contract.ts'
import { sleep, systemClock } from '../../core/clock.ts'
import type { Context, ContextDefinition } from '../../core/contract.ts'
import { type Duration, milliseconds } from '../../core/duration.ts'
import { SpillwayError } from '../../core/errors.ts'
import { checkHandler } from '../../core/known-options.ts'
import type { UnitHome } from '../../transaction/unit.ts'
import { memoryDatabase } from '../memory/database.ts'

/** What a fake's answers are given. */
export type FakeAnswerContext<Failures extends FailureSchemas> = Omit<AnswerContext<Failures>, 'call'>

/** What the fake answers, by the entries of `calls`. What is left out it does not answer: `UNKNOWN_CALL`. */
export type FakeAnswers<Calls> = {
  readonly [Name in keyof Calls]?: Calls[Name] extends CallContract<
    infer _Ask,
    infer Asked,
    infer Answer,
    infer _Answered,
    infer Failures
  >
    ? (
        input: Asked,
        context: FakeAnswerContext<Failures>,
      ) => AnswerOf<Answer, Failures> | PromiseLike<AnswerOf<Answer, Failures>>
    : never
}

/** Something that the fake was asked, in the order of coming; what it refused by its contract is not there. */
export interface FakeAsked {
  readonly type: string
  readonly version: number
  /** As it was sent. */
  readonly input: unknown
  readonly key: string | undefined
  /** The context that says that it asks. */
  readonly caller: string | undefined
}

/** Ends with `close`, or `await using`. */
export interface FakeContext extends AsyncDisposable {
  /** For the `addresses` of a topology. The same for as long as the fake is there, also after `down`. */
  readonly address: string
  /** The last 10,000. */
  readonly asked: readonly FakeAsked[]
  /** From now on every answer takes so long, before anything is done. */
  slow(by: Duration): void
  /** The next answers are made, and stored with their keys, and do not arrive: the connection is cut. Who asked sees `unknown`. Default 1. */
  dropAnswers(count?: number): void
  /** Nothing listens any more: connections are refused. */
  down(): Promise<void>
  /** All is well again. What was stored with keys is still there. */
  up(): Promise<void>
  close(): Promise<void>
}

export interface FakeContextOptions {
  /** As for `run()`: to refuse callers. */
  readonly authenticate?: Authenticate
}

const remembered = 10_000

/** Plays `context` with these answers. Commands answer each key once, as the real one does; in memory. */
export async function fakeContext<Name extends string, D extends ContextDefinition>(
  context: Context<Name, D>,
  answers: FakeAnswers<Context<Name, D>['calls']>,
  { authenticate }: FakeContextOptions = {},
): Promise<FakeContext> {
  const clock = systemClock
  const asked: FakeAsked[] = []
  let slowMs = 0
  let drops = 0
  const source = memoryDatabase({ db: {}, snapshot: () => () => {} })
  const home: UnitHome<object> = {
    context: context.name,
    clock,
    database: await source.open(context.name),
    deliver: async () => {},
    cancel: async () => 'unknown',
    timeoutMs: 5_000,
  }
  const slowly =
    (answer: (input: unknown, of: unknown) => unknown) =>
    async (input: unknown, of: { readonly signal: AbortSignal }) => {
      if (slowMs > 0) await sleep(clock, slowMs, of.signal)
      return answer(input, of)
    }
  const answerers = answerersOf(home, answeringsOf(context as unknown as Context, answers, slowly)).map(
    (answerer): Answers => ({
      contract: answerer.contract,
      answer(input, call) {
        const { type, version } = answerer.contract
        const { key, caller } = call.facts
        asked.push({ type, version, input, key, caller: caller.context })
        if (asked.length > remembered) asked.shift()
        return answerer.answer(input, call)
      },
    }),
  )
  const sends = () => {
    if (drops === 0) return true
    drops -= 1
    return false
  }
  const listen = async (at: string): Promise<Listener> => {
    const opened = await Listener.open({ listen: at, clock, authenticate, sends })
    for (const answerer of answerers) opened.add(answerer)
    return opened
  }
  let listener: Listener | undefined = await listen('http://127.0.0.1:0')
  const { address } = listener
  const down = async () => {
    const open = listener
    listener = undefined
    await open?.stop({ deadlineMs: 0 })
  }
  const close = async () => {
    await down()
    await home.database?.close()
  }
  return {
    address,
    asked,
    slow(by) {
      slowMs = milliseconds(by, 'slow')
    },
    dropAnswers(count = 1) {
      drops = count
    },
    down,
    async up() {
      slowMs = 0
      drops = 0
      listener ??= await listen(address)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function answeringsOf(
  context: Context,
  answers: Readonly<Record<string, unknown>>,
  slowly: (answer: (input: unknown, of: unknown) => unknown) => unknown,
): Answering<object>[] {
  const calls: Readonly<Record<string, CallContract>> = context.calls
  return Object.entries(answers).map(([name, answer]) => {
    const call = Object.hasOwn(calls, name) ? calls[name] : undefined
    if (!call)
      throw new SpillwayError(
        'CONFIGURATION',
        `The context ${context.name} has no call ${name}; it has ${Object.keys(calls).join(', ') || 'none'}.`,
      )
    checkHandler(`The fake of ${call.type}`, answer)
    const handler = slowly(answer as (input: unknown, of: unknown) => unknown)
    return { call, options: {}, [call.kind]: handler } as unknown as Answering<object>
  })
}

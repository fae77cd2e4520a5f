// Answers commands: the effects, what is sent, the idempotency key and the answer are one transaction, and whoever asks again gets the answer.
import type { CallContract, FailureSchemas } from '../../core/call-contract.ts'
import { systemClock } from '../../core/clock.ts'
import { type ErrorCode, isSpillwayError, SpillwayError } from '../../core/errors.ts'
import { forgottenUntil } from '../../transaction/age-gate.ts'
import type { UnitHome } from '../../transaction/unit.ts'
import type { CommandHandler } from './answer.ts'
import { Answerer, type AnswerOptions } from './answerer.ts'
import { type Command, CommandRun } from './command-run.ts'
import type { IncomingCall } from './incoming-call.ts'
import { problemReply, type Reply } from './reply.ts'
import { type Asked, fingerprintOf, readStored, reused, type StoredAnswer } from './stored-answer.ts'

/**
 * After these nobody knows whether the transaction went through: everything else is known to have stored nothing. CONFIGURATION: the effects of another
 * unit, which shared the transaction, ended it.
 */
const unsure: ReadonlySet<ErrorCode> = new Set([
  'ENGINE_UNAVAILABLE',
  'ENGINE_FAILED',
  'CONFIGURATION',
  'INTERNAL',
])

export function commandAnswerer<Db>(
  home: UnitHome<Db>,
  contract: CallContract,
  handler: CommandHandler<unknown, unknown, Db, FailureSchemas>,
  options: AnswerOptions,
  { flights, counted }: Together,
): Answerer {
  const { database } = home
  if (!database)
    throw new SpillwayError(
      'CONFIGURATION',
      `${contract.type} is a command, and the service of ${home.context} has no database in which to store its keys.`,
    )
  const command = { contract, handler, home, database, consumer: `call ${contract.type}` }
  const give = counted((input: unknown, call: IncomingCall, raw: unknown) =>
    answer(command, flights, input, call, raw),
  )
  return new Answerer(contract, give, home, options)
}

/** The keys whose first copy runs in this process: a second one waits for it. Shared by the versions of a call. */
export type Flights = Map<string, Promise<unknown>>

/** What the commands of a service have in common. */
export interface Together {
  readonly flights: Flights
  /** Tells whoever looks whether anything moves that one of them has ended. */
  readonly counted: <Args extends unknown[], Result>(
    work: (...args: Args) => Promise<Result>,
  ) => (...args: Args) => Promise<Result>
}

async function answer<Db>(
  command: Command<Db>,
  flights: Flights,
  input: unknown,
  call: IncomingCall,
  raw: unknown,
): Promise<Reply> {
  const { contract, home, database, consumer } = command
  const { key = '', keyAgeMs } = call.facts
  const madeAt = keyAgeMs === undefined ? undefined : (home.clock ?? systemClock).now() - keyAgeMs
  if (home.keepMs !== undefined && keyAgeMs !== undefined && keyAgeMs > home.keepMs)
    return tooOld(contract, keyAgeMs, `keys are remembered for ${Math.floor(home.keepMs / 1_000)} s`)
  const asked = { fingerprint: fingerprintOf(raw), version: contract.version }
  const place = `${consumer} ${key}`
  let waited = false
  for (let first = flights.get(place); first !== undefined; first = flights.get(place)) {
    waited = true
    await first
    // Its reply was given when it ended, or there is nobody to give one to.
    if (call.isAborted) throw call.error()
  }
  const flight = Promise.withResolvers<void>()
  flights.set(place, flight.promise)
  try {
    // A key that was made for this very request is nowhere yet: if it is all the same, the commit finds it.
    const known = keyAgeMs === 0 && !waited ? undefined : await database.answer(consumer, key)
    if (known !== undefined) return replay(contract, asked, readStored(known))
    if (keyAgeMs !== undefined && keyAgeMs > 0 && home.keepMs !== undefined) {
      // The window may have been shorter once, or be so in another process.
      const { prunedUpTo } = await database.handled(consumer, [])
      if (madeAt! <= forgottenUntil(prunedUpTo))
        return tooOld(contract, keyAgeMs, 'keys of that time were forgotten, with a shorter `keep`')
    }
    return await runNew(command, asked, input, call)
  } finally {
    flights.delete(place)
    flight.resolve()
  }
}

function tooOld({ type }: CallContract, keyAgeMs: number, why: string): Reply {
  return problemReply(
    410,
    'KEY_TOO_OLD',
    `The key of ${type} was made ${Math.floor(keyAgeMs / 1_000)} s ago; ${why}.`,
  )
}

async function runNew<Db>(
  command: Command<Db>,
  asked: Asked,
  input: unknown,
  call: IncomingCall,
): Promise<Reply> {
  const run = new CommandRun(command, asked, call)
  try {
    const { stored, own } = await run.run(input)
    return own ? { status: stored.status, body: stored.body } : replay(command.contract, asked, stored)
  } catch (thrown) {
    if (run.isCommitting && isSpillwayError(thrown) && unsure.has(thrown.code)) {
      command.home.onReport?.({
        from: `the answer of ${command.contract.type}`,
        error: thrown,
        messageId: call.facts.key,
      })
      return problemReply(
        504,
        thrown.code,
        `The database did not say whether the transaction of ${command.contract.type} went through.`,
      )
    }
    throw thrown
  }
}

function replay(contract: CallContract, asked: Asked, stored: StoredAnswer): Reply {
  const why = reused(contract, asked, stored)
  if (why !== undefined) return problemReply(409, 'KEY_REUSED', why)
  return { status: stored.status, body: stored.body, replayed: true }
}

// Runs the steps of sagas: one transaction for the state, what the step sends, and the mark that its message was handled. Whoever comes second
// on one instance finds another version of the state, and runs again on that one.
import { systemClock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { isName } from '../core/envelope.ts'
import type { ErrorCode } from '../core/errors.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { deadLetter, retry } from '../core/outcome.ts'
import { runInside } from '../core/scope.ts'
import type { CommitOutcome, Database } from '../ports/database.ts'
import type { SagaInstance, SagaWrite } from '../ports/saga.ts'
import type { Delivery } from '../queue/delivery.ts'
import type { EventDelivery } from '../stream/event-delivery.ts'
import { Unit, type UnitHome, type UnitMark } from '../transaction/unit.ts'
import type { AnySaga, SagaReaction } from './saga.ts'
import { Ended, GatheringStep, type TimeoutData } from './step.ts'
import { decodeStored, encodeStored, type Stored } from './stored-state.ts'

/** A saga of a service at work. */
export interface SagaAtWork<Db> {
  readonly saga: AnySaga
  readonly home: UnitHome<Db>
  readonly queue: QueueContract<TimeoutData, TimeoutData> | undefined
}

interface Occasion {
  readonly id: string
  readonly message: Message
  readonly delivery: Pick<Delivery, 'signal' | 'ended'>
  readonly mark: () => UnitMark
}

/** What a message does to its instance as it is stored: a step, or none, with the reason. */
type Choice =
  | {
      readonly run: (stored: Stored | undefined, step: GatheringStep) => unknown
      readonly stored: Stored | undefined
    }
  | { readonly nothing: (() => void) | undefined }
  | { readonly wait: string }

type Result = CommitOutcome | { readonly wait: string }

/** How often a step runs again in a row, because others of its instance were faster. */
const mostTries = 50

/** The stream's handler for an event of a saga. */
export function sagaEventHandler<Db>(
  at: SagaAtWork<Db>,
  reaction: SagaReaction,
): (message: Message, delivery: EventDelivery) => Promise<unknown> {
  return async (message, delivery) => {
    const id = instanceOf(at, reaction, message)
    const result = await run(at, { id, message, delivery, mark: () => delivery.mark() }, (instance, stored) =>
      choose(at, reaction, { id, message, attempt: delivery.attempt }, instance, stored),
    )
    if (typeof result === 'object') return retry({ reason: result.wait })
    return result === 'stale' ? 'stale' : 'committed'
  }
}

/** The queue's handler for the timeouts of a saga. The token decides what counts, so that it needs no inbox and no message is too old for it. */
export function sagaTimeoutHandler<Db>(
  at: SagaAtWork<Db>,
): (message: Message<TimeoutData>, delivery: Delivery) => Promise<unknown> {
  const { saga } = at
  return async (message, delivery) => {
    const { id, timeout, token } = message.data
    const handler = saga.timeouts.get(timeout)
    if (!handler) return deadLetter(`The saga ${saga.name} has no onTimeout('${timeout}') any more.`)
    const result = await run(at, { id, message, delivery, mark: () => ({}) }, (_, stored) => {
      if (stored?.timeouts[timeout] !== token) return { nothing: undefined }
      const { [timeout]: __, ...timeouts } = stored.timeouts
      const run = (now: Stored | undefined, step: GatheringStep) => handler(now!.state as never, step)
      return { run, stored: { ...stored, timeouts } }
    })
    return typeof result === 'object' ? retry({ reason: result.wait }) : undefined
  }
}

function instanceOf<Db>({ saga }: SagaAtWork<Db>, { by, event }: SagaReaction, { data }: Message): string {
  const id: unknown = by(data as never)
  if (isName(id)) return id
  throw new SpillwayError(
    'INVALID_DATA',
    `\`by\` of the saga ${saga.name} says of an event ${event.type} that it belongs to ${describe(id)}; an id is a text of 1 to 200 characters.`,
  )
}

function choose<Db>(
  { saga, home }: SagaAtWork<Db>,
  { start, step: go, missing, event }: SagaReaction,
  { id, message, attempt }: { readonly id: string; readonly message: Message; readonly attempt: number },
  instance: SagaInstance | undefined,
  stored: Stored | undefined,
): Choice {
  const { data } = message
  const named = `${JSON.stringify(id)} of the saga ${saga.name}`
  const report = (code: ErrorCode, what: string) => () =>
    home.onReport?.({
      from: `the saga ${saga.name}`,
      error: new SpillwayError(code, what),
      messageId: message.id,
    })
  if (stored && go) return { run: (now, step) => go(data as never, now!.state as never, step), stored }
  if (!instance && start) return { run: (_, step) => start(data as never, step), stored }
  if (stored)
    return { nothing: report('SAGA_EXISTS', `${event.type} would start ${named}, which runs already.`) }
  if (instance) return { nothing: report('SAGA_ENDED', `${event.type} came for ${named}, which has ended.`) }
  const what = `${event.type} came for ${named}, which has not started.`
  if (missing === 'ignore') return { nothing: report('SAGA_MISSING', what) }
  if (attempt === 1) report('SAGA_MISSING', what)()
  return { wait: what }
}

async function run<Db>(
  at: SagaAtWork<Db>,
  occasion: Occasion,
  choice: (instance: SagaInstance | undefined, stored: Stored | undefined) => Choice,
): Promise<Result> {
  const { saga, home } = at
  const { sagas } = home.database as Database<Db>
  for (let tries = 1; tries <= mostTries; tries++) {
    const instance = await sagas.get(saga.name, occasion.id)
    const text = instance?.body ?? undefined
    const stored = text === undefined ? undefined : await decodeStored(saga.contract, text)
    const chosen = choice(instance, stored)
    if ('wait' in chosen) return chosen
    const outcome =
      'run' in chosen
        ? await commitStep(at, occasion, instance?.version ?? 0, chosen.stored, chosen.run)
        : await commitNothing(at, occasion)
    if (outcome === 'committed' && 'nothing' in chosen) chosen.nothing?.()
    if (outcome !== 'conflict') return outcome
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { wait: `other steps of ${JSON.stringify(occasion.id)} were faster ${mostTries} times` }
}

async function commitStep<Db>(
  at: SagaAtWork<Db>,
  occasion: Occasion,
  expected: number,
  stored: Stored | undefined,
  work: (stored: Stored | undefined, step: GatheringStep) => unknown,
): Promise<CommitOutcome> {
  const { saga, home, queue } = at
  const { id, message, delivery } = occasion
  let write: SagaWrite | undefined
  const unit = new Unit<Db>(home, message, () => ({ ...markOf(at, occasion), saga: write }))
  const timeouts = { queue, known: new Set(saga.timeouts.keys()) }
  const step = new GatheringStep({ id, stored }, message, delivery, home, unit.sender, timeouts)
  const next = await runInside(`a step of the saga ${saga.name}`, async () => work(stored, step))
  const rest = await step.rest()
  const body =
    next instanceof Ended
      ? null
      : await encodeStored(saga.contract, id, { state: next, ...rest }, home.clock ?? systemClock)
  write = { saga: saga.name, id, expected, body }
  return unit.commit()
}

async function commitNothing<Db>(at: SagaAtWork<Db>, occasion: Occasion): Promise<CommitOutcome> {
  return new Unit<Db>(at.home, occasion.message, () => markOf(at, occasion)).commit()
}

function markOf<Db>({ saga }: SagaAtWork<Db>, { delivery, message, mark }: Occasion): UnitMark {
  if (!delivery.ended) return mark()
  const what = `Message ${message.id} passed to another process before the step of the saga ${saga.name} was committed.`
  throw new SpillwayError('LEASE_LOST', what)
}

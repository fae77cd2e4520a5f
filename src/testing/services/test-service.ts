// Given, when, then for the handlers of a service, without a broker: one message at a time goes through its handler as in production.

import { CallClient } from '../../call/client/client.ts'
import type { CallContract, FailureSchemas } from '../../core/call-contract.ts'
import { type Clock, systemClock } from '../../core/clock.ts'
import type { Contract, EventContract, PointerContract, QueueContract } from '../../core/contract.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { PointerData } from '../../core/pointer-contract.ts'
import { isPointer } from '../../pointer/pointer-event.ts'
import type { Service } from '../../topology/service.ts'
import { arriving, type WhenOptions } from './arriving.ts'
import { type AskServiceOptions, ServiceCalls, type ThenAnswered } from './ask-service.ts'
import { attemptEvent } from './attempt-event.ts'
import { attemptMessage } from './attempt-message.ts'
import { type AnyAnswer, fetched, type WhenPointerOptions } from './fetched.ts'
import { Kept } from './kept.ts'
import { Then } from './then.ts'

export type { WhenOptions } from './arriving.ts'
export type { WhenPointerOptions } from './fetched.ts'
export { Then } from './then.ts'

export interface TestServiceOptions {
  /** Dates messages and ends handlers at their deadline. Default: the system's. */
  readonly clock?: Clock
  /** Where the contexts are that its handlers and answers call: the addresses of fakes, by context. */
  readonly addresses?: Readonly<Record<string, readonly string[]>>
}

type Channel<In, Out> = EventContract<In, Out> | QueueContract<In, Out>

/** A service with its database open and nothing running. Close it at the end, or write `await using`. */
export interface TestedService<Db> extends AsyncDisposable {
  /** The handle of the service's database, for what a test puts there and finds there. NO_DATABASE where it has none. */
  readonly db: Db
  /** This happened before: as `when`, but rejects with NOT_SEEN unless it ends 'done'. */
  given<Key extends string, Fetch extends CallContract, Gone extends string>(
    of: PointerContract<Key, Fetch, Gone>,
    data: PointerData<Key>,
    options: WhenPointerOptions<Fetch, Gone>,
  ): Promise<void>
  given<In, Out>(of: Channel<In, Out>, data: In, options?: WhenOptions): Promise<void>
  /**
   * A pointer event arrives, and its owner answers `current`: nothing is fetched, and nothing is waited for. Rejects with INVALID_DATA for what the owner could
   * not answer, and with CONFIGURATION for a version below that of the event, which no handler is given.
   */
  when<Key extends string, Fetch extends CallContract, Gone extends string>(
    of: PointerContract<Key, Fetch, Gone>,
    data: PointerData<Key>,
    options: WhenPointerOptions<Fetch, Gone>,
  ): Promise<Then>
  /**
   * A message or an event arrives: it is validated as by its sender, read as by its receiver (upcasters, validation), and handled once in the
   * service's own database. Resolves with what came of it, also when its handler failed. What the handler sends is not delivered:
   * it stays in the outbox. Rejects with INVALID_DATA for what could not have been sent, CONFIGURATION where the service has no handler for it.
   */
  when<In, Out>(of: Channel<In, Out>, data: In, options?: WhenOptions): Promise<Then>
  /** The same for data as another version of its sender wrote it: nothing is validated before it is read. */
  when(
    of: Channel<never, unknown> | Contract,
    data: unknown,
    options: WhenOptions & { readonly version: number },
  ): Promise<Then>
  /**
   * A call of the service's context is asked: its input is checked as by its caller, and it is answered as in production, in the service's own database;
   * asked again with the same `key`, a command gives the answer that it stored. Rejects with INVALID_DATA for an input that could not have been sent,
   * CONFIGURATION for a call that the service does not answer.
   */
  ask<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
    of: CallContract<Ask, Asked, Answer, Answered, Failures>,
    input: Ask,
    options?: AskServiceOptions,
  ): Promise<ThenAnswered<Answered, Failures>>
  close(): Promise<void>
}

/** Opens the service's database, and nothing else. Use a database of the test's own: a file in a temporary folder, or memoryDatabase(). */
export async function testService<Db>(
  service: Service<Db>,
  { clock = systemClock, addresses = {} }: TestServiceOptions = {},
): Promise<TestedService<Db>> {
  const { context } = service
  const client = new CallClient({ addressesOf: (name) => addresses[name], clock })
  const kept = new Kept<Db>(context.name, await service.database?.open(context.name), clock, client)
  const calls = new ServiceCalls(service, kept)
  const close = async () => {
    await client.close()
    await kept.database?.close()
  }

  async function when(
    of: Contract,
    data: unknown,
    options: WhenOptions & { readonly current?: AnyAnswer } = {},
  ): Promise<Then> {
    const work = service.works.find(({ queue }) => queue.type === of.type)
    const reaction = service.reactions.find(({ event }) => event.type === of.type)
    const contract = work?.queue ?? reaction?.event
    if (!contract) throw unhandled(of.type, service as Service<unknown>)
    const message = await arriving(contract, data, options, clock)
    const current = isPointer(contract)
      ? await fetched(contract, data as PointerData<string>, options.current)
      : undefined
    kept.begin(options.cancels ?? 'removed')
    const end = work
      ? await attemptMessage(kept, work, message, options.attempt ?? 1)
      : await attemptEvent(kept, reaction!, message, options.attempt ?? 1, current)
    return new Then(end, kept.messages, kept.cancelled)
  }

  const tested = {
    get db(): Db {
      if (kept.database) return kept.database.db
      throw new SpillwayError('NO_DATABASE', `A test asked for the database of ${context.name}.`)
    },
    when,
    ask: (of: CallContract, input: unknown, options?: AskServiceOptions) => calls.ask(of, input, options),
    async given(of: Contract, data: unknown, options?: WhenOptions & { readonly current?: AnyAnswer }) {
      const { outcome, reason, error } = await when(of, data, options)
      if (outcome === 'done') return
      const what = `What was given did not happen: ${of.type} ended '${outcome}'${reason ? `: ${reason}` : ''}.`
      const remedy = 'Correct what the test gives, or ask with `when` what comes of it.'
      throw new SpillwayError('NOT_SEEN', what, { remedy, ...(error ? { cause: error } : {}) })
    },
    close,
    [Symbol.asyncDispose]: close,
  }
  return tested as TestedService<Db>
}

function unhandled(type: string, { context, works, reactions }: Service<unknown>): SpillwayError {
  const all = [...works.map(({ queue }) => queue.type), ...reactions.map(({ event }) => event.type)]
  const what = `The service of ${context.name} has no handler for ${type}; it handles ${all.join(', ') || 'nothing'}.`
  return new SpillwayError('CONFIGURATION', what, {
    remedy: 'Nothing was handled. Name a contract that it handles.',
  })
}

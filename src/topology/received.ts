// Where services keep what they have taken from queues (`inbox: { mode: 'store' }`): an engine of the receiver's own, which the engine of the
// queue may be away from.
import type { QueueContract } from '../core/contract.ts'
import { SpillwayError } from '../core/errors.ts'
import { checkName } from '../core/name.ts'
import { missing } from '../ports/capability.ts'
import type { Engine } from '../ports/engine.ts'
import { declareQueues } from '../queue/rules.ts'
import type { QueueAt } from '../transaction/forwarder.ts'
import type { AnyService } from './service.ts'

export interface Kept extends QueueAt {
  readonly engine: string
  /** As the queue that is kept there is worked off. */
  readonly contract: QueueContract
}

/** What the engine of a queue must not do, where messages leave it before they are handled. */
const impossible = {
  dedup: 'a key would be free as soon as the message is saved',
  flow: 'a message would count as done as soon as it is saved',
  keepFinished: 'a message would be shown as finished as soon as it is saved',
} as const

export class Received {
  readonly #kept = new Map<string, Kept>()
  /** By their urls: services that share a file share the engine beside it. */
  readonly #engines = new Map<string | Engine, Engine>()

  /** Where messages of a queue are kept; undefined for one that is worked off on its engine, or elsewhere. */
  of(queue: string): Kept | undefined {
    return this.#kept.get(queue)
  }

  get engines(): readonly Engine[] {
    return [...this.#engines.values()]
  }

  /** CONFIGURATION for a queue that cannot be kept so, and for a service that does not say where; CAPABILITY_MISSING. */
  async add(service: AnyService, open: (choice: string | Engine) => Promise<Engine>): Promise<void> {
    const { context, works } = service
    if (!stores(service) || works.length === 0) return
    for (const { queue } of works) checkKept(queue)
    const place = placeOf(service)
    const engine = this.#engines.get(place) ?? (await open(place))
    this.#engines.set(place, engine)
    if (!engine.queue) throw missing(engine.name, 'queue')
    const kept = works.map(({ queue }) => ({ queue: queue.queue, contract: keptContract(queue) }))
    await declareQueues(
      engine.name,
      engine.queue,
      kept.map(({ contract }) => contract),
    )
    for (const { queue, contract } of kept) {
      if (this.#kept.has(queue))
        throw new SpillwayError('CONFIGURATION', `${context.name} is not the only one that keeps ${queue}.`)
      const at = { port: engine.queue, queue: contract.queue }
      this.#kept.set(queue, { ...at, engine: engine.name, contract })
    }
  }
}

export function stores({ inbox }: AnyService): boolean {
  return inbox?.mode === 'store'
}

/** The engine in which a service keeps what it receives. */
export function placeOf({ context, inbox, database }: AnyService): string | Engine {
  const place = inbox?.engine ?? database?.inboxEngine?.(context.name)
  if (place !== undefined) return place
  throw new SpillwayError(
    'CONFIGURATION',
    `The inbox of ${context.name} stores, and its database cannot tell where: say \`inbox: { mode: 'store', engine: 'sqlite:./folder' }\`.`,
  )
}

/** Another name than on the engine of the queue: should that be the same, nothing goes round in circles. */
export function receivedName(queue: string): string {
  return `${queue}.received`
}

function keptContract(contract: QueueContract): QueueContract {
  return { ...contract, queue: checkName(receivedName(contract.queue), 'queue') }
}

function checkKept(contract: QueueContract): void {
  for (const [option, why] of Object.entries(impossible))
    if (contract[option as keyof typeof impossible] !== undefined)
      throw new SpillwayError(
        'CONFIGURATION',
        `The queue ${contract.queue} has \`${option}\`, which does not hold with an inbox that stores: ${why}. Take one of them out.`,
      )
}

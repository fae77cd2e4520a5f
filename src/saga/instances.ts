// The instances of a saga, for those who look after it.

import type { Contract } from '../core/contract.ts'
import { asSpillwayError, type SpillwayError } from '../core/errors.ts'
import type { SagaPort, SagaInstance as StoredInstance } from '../ports/saga.ts'
import type { AnySaga } from './saga.ts'
import { decodeStored, parseStored, type Stored } from './stored-state.ts'

export interface SagaInstance<State> {
  readonly id: string
  /** Undefined for one that has ended (it is known for 30 days), and for one that is `unreadable`. */
  readonly state: State | undefined
  /** What is wrong with a state that cannot be read: its steps fail until a program comes that can. */
  readonly unreadable: SpillwayError | undefined
  readonly ended: boolean
  /** How many steps there were. */
  readonly steps: number
  readonly changedAt: Date
  /** The timeouts that are set. */
  readonly timeouts: readonly string[]
  /** What would be undone, in the order in which it was done. */
  readonly compensations: readonly string[]
}

export class SagaInstances<State> {
  readonly #saga: AnySaga
  readonly #port: Pick<SagaPort, 'get' | 'list'>

  constructor(saga: AnySaga, port: Pick<SagaPort, 'get' | 'list'>) {
    this.#saga = saga
    this.#port = port
  }

  /** One by its id; undefined when it has not started. */
  async get(id: string): Promise<SagaInstance<State> | undefined> {
    const stored = await this.#port.get(this.#saga.name, id)
    return stored && this.#open(stored)
  }

  /** By their ids: at most `limit` (default 100) after the id `after`. */
  async list(
    options: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<SagaInstance<State>[]> {
    const stored = await this.#port.list(this.#saga.name, { limit: 100, ...options })
    return Promise.all(stored.map((instance) => this.#open(instance)))
  }

  async #open({ id, version, body, changedAt }: StoredInstance): Promise<SagaInstance<State>> {
    const stored = body === null ? undefined : await read(this.#saga.contract, body)
    return {
      id,
      state: stored?.state as State | undefined,
      unreadable: stored?.unreadable,
      ended: body === null,
      steps: version,
      changedAt: new Date(changedAt),
      timeouts: Object.keys(stored?.timeouts ?? {}),
      compensations: (stored?.compensations ?? []).map(({ name }) => name),
    }
  }
}

type Read = Omit<Stored, 'state'> & { readonly state?: unknown; readonly unreadable?: SpillwayError }

/** One that cannot be read does not hide the others; its timeouts and compensations are told where they can be. */
async function read(contract: Contract, body: string): Promise<Read> {
  try {
    return await decodeStored(contract, body)
  } catch (thrown) {
    const unreadable = asSpillwayError(thrown)
    try {
      const { timeouts, compensations } = parseStored(contract, body)
      return { timeouts, compensations, unreadable }
    } catch {
      return { timeouts: {}, compensations: [], unreadable }
    }
  }
}

// The owner of pointer events as the client of calls knows it: its addresses, credentials and breaker are those of any call to it.
import type { CallClient } from '../call/client/client.ts'
import type { CallContract } from '../core/call-contract.ts'
import type { Owner, Result } from './owner.ts'

type Client = Pick<CallClient, 'ask' | 'target'>

export class ClientOwner implements Owner {
  readonly name: string
  readonly #client: Client
  readonly #caller: string

  constructor(client: Client, name: string, caller: string) {
    this.name = name
    this.#client = client
    this.#caller = caller
  }

  ask(call: CallContract, inputs: readonly unknown[], signal: AbortSignal): Promise<readonly Result[]> {
    // Nested: the client asks once, and nobody behind it repeats it either. Who waits for a payload has patience of its own.
    return this.#client.ask(call, inputs, { signal }, { caller: this.#caller, nested: true })
  }

  async whenAllowed(signal: AbortSignal): Promise<void> {
    await this.#client.target(this.name).destination.breaker.whenAllowed(signal)
  }
}

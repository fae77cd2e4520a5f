// The envelope of one key among all.
import type { Visitor } from '../gathering/requests.ts'
import type { Envelope } from './envelope.ts'
import { EnvelopeBuilder } from './envelope-builder.ts'

export class EnvelopeOfKey implements Visitor {
  readonly #sought: string
  readonly #builder = new EnvelopeBuilder()
  #open = false

  constructor(key: string) {
    this.#sought = key
  }

  begin(key: string): void {
    this.#open = key === this.#sought
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    if (!this.#open) return
    for (let index = from; index < to; index++) this.#builder.push(times[index]!, costs[index]!)
  }

  end(): void {}

  finish(): Envelope {
    return this.#builder.finish()
  }
}

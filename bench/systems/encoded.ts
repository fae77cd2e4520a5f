// The bytes that Spillway stores for a message: the limits store the same, encoded before the clock starts.
import { eventContract } from '../../src/core/contract.ts'
import { type Sealed, seal } from '../../src/core/envelope.ts'
import { unchecked } from '../../src/core/schema.ts'
import { roomFor, writeRecord } from '../../src/engines/sqlite/record.ts'
import type { Payload } from '../workloads/payload.ts'

const contract = eventContract('bench', 'bench', { data: unchecked<Payload>() })

export function sealed(payload: Payload): Sealed {
  return seal(contract, payload, { source: '/bench' }) as Sealed
}

/** Records as the SQLite engine writes them. */
export function encoded(payloads: readonly Payload[]): Buffer {
  return Buffer.concat(
    payloads.map((payload) => {
      const { id, key, body } = sealed(payload)
      const bytes = Buffer.alloc(roomFor(id, key, body))
      return bytes.subarray(0, writeRecord(bytes, 0, id, key, body))
    }),
  )
}

/** Makes once for each payload, or list of them, what a limit stores for it. */
export function remembered<From extends object, To>(make: (from: From) => To): (from: From) => To {
  const known = new WeakMap<From, To>()
  return (from) => {
    let made = known.get(from)
    if (made === undefined) {
      made = make(from)
      known.set(from, made)
    }
    return made
  }
}

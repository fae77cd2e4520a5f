// The bytes that Spillway stores for a message, made the way a program without Spillway would make them. A limit makes them
// as any caller must, while the clock runs; its twin has them beforehand, and shows what encoding costs.
import { eventContract } from '../../src/core/contract.ts'
import type { Sealed } from '../../src/core/envelope.ts'
import { newId } from '../../src/core/id.ts'
import { unchecked } from '../../src/core/schema.ts'
import { roomFor, writeRecord } from '../../src/engines/sqlite/record.ts'
import type { Payload } from '../workloads/payload.ts'

/** When a limit encodes: with the clock running, or before. */
export type Encoding = 'in the clock' | 'beforehand'

const contract = eventContract('bench', 'bench', { data: unchecked<Payload>() })

/** By one JSON.stringify, unchecked. */
export function stringified(payload: Payload): Sealed {
  const id = newId()
  const body = JSON.stringify({
    specversion: '1.0',
    id,
    source: '/bench',
    type: contract.type,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    dataschema: contract.dataschema,
    correlationid: id,
    data: payload,
  })
  return { id, key: undefined, body, tombstone: false }
}

let memory: Buffer = Buffer.alloc(1 << 20)

/** Records as the SQLite engine writes them. Valid until the next call. */
export function encoded(payloads: readonly Payload[]): Buffer {
  let end = 0
  for (const payload of payloads) {
    const { id, key, body } = stringified(payload)
    if (end + roomFor(id, key, body) > memory.length)
      memory = Buffer.concat([memory, Buffer.alloc(memory.length)])
    end = writeRecord(memory, end, id, key, body)
  }
  return memory.subarray(0, end)
}

/** What makes the bytes: anew each time, or once for each payload or list of them. */
export function encoder<From extends object, To>(
  encoding: Encoding,
  make: (from: From) => To,
): (from: From) => To {
  return encoding === 'in the clock' ? make : remembered(make)
}

function remembered<From extends object, To>(make: (from: From) => To): (from: From) => To {
  const known = new WeakMap<From, To>()
  return (from) => {
    let found = known.get(from)
    if (found === undefined) {
      found = make(from)
      // What is kept must outlive the next call.
      if (Buffer.isBuffer(found)) found = Buffer.from(found) as To & Buffer
      known.set(from, found)
    }
    return found
  }
}

// The fetch request: the library writes the question, we keep the answer's records as the bytes that came.
import type { Buffer } from 'node:buffer'
import type { Reader } from '@platformatic/kafka'
import type { AbortedTransaction } from './batch-reader.ts'
import type { Client } from './client.ts'
import type { Link } from './link.ts'

export interface FetchedPart {
  readonly partition: number
  readonly errorCode: number
  /** Up to where can be read now. */
  readonly end: number
  readonly aborted: readonly AbortedTransaction[]
  readonly bytes: Buffer | undefined
}

export interface FetchOptions {
  readonly waitMs: number
  readonly maxBytes: number
  readonly maxPartBytes: number
}

export type Fetch = (
  link: Link,
  stream: string,
  from: readonly { readonly partition: number; readonly next: number }[],
  options: FetchOptions,
) => Promise<{ readonly errorCode: number; readonly parts: readonly FetchedPart[] }>

const readCommitted = 1

export function fetchRequest(client: Client): Fetch {
  type Question = Parameters<typeof client.fetchV12.createRequest>
  type Answer = Awaited<ReturnType<Fetch>>
  const api = client.createAPI<Question, Answer>(
    1,
    12,
    client.fetchV12.createRequest,
    (_id, _key, _v, reader) => readAnswer(reader),
  )
  return (link, stream, from, { waitMs, maxBytes, maxPartBytes }) => {
    const partitions = from.map(({ partition, next }) => ({
      partition,
      currentLeaderEpoch: -1,
      fetchOffset: BigInt(next),
      lastFetchedEpoch: -1,
      partitionMaxBytes: maxPartBytes,
    }))
    // This version names topics by name; the library's field has the name of later ones. No fetch session (0, -1).
    const topics = [{ topicId: stream, partitions }]
    return link.call(api, waitMs, 1, maxBytes, readCommitted, 0, -1, topics, [], '')
  }
}

function readAnswer(reader: Reader): Awaited<ReturnType<Fetch>> {
  reader.readInt32() // throttle time: the broker itself waits before it answers
  const errorCode = reader.readInt16()
  reader.readInt32() // session
  const topics = reader.readArray((topic) => {
    topic.readString()
    return topic.readArray(readPart)
  })
  return { errorCode, parts: topics.flat() }
}

function readPart(reader: Reader): FetchedPart {
  const partition = reader.readInt32()
  const errorCode = reader.readInt16()
  reader.readInt64() // high watermark
  const end = Number(reader.readInt64())
  reader.readInt64() // log start
  const aborted = reader.readNullableArray((transaction) => {
    return { producerId: transaction.readInt64(), firstOffset: transaction.readInt64() }
  })
  reader.readInt32() // preferred replica
  const size = reader.readUnsignedVarInt() - 1
  const bytes = size > 0 ? reader.buffer.slice(reader.position, reader.position + size) : undefined
  if (size > 0) reader.skip(size)
  return { partition, errorCode, end, aborted: aborted ?? [], bytes }
}

// The produce request: one batch per partition, acknowledged by all in-sync replicas.
import type { Buffer } from 'node:buffer'
import type { Client } from './client.ts'
import type { Link } from './link.ts'

export interface ProducedBatch {
  readonly stream: string
  readonly partition: number
  readonly bytes: Buffer
}

/** By stream and partition (`partKey`): the error code, and the position of the batch's first record. */
export type ProduceAnswer = ReadonlyMap<
  string,
  { readonly errorCode: number; readonly base: number; readonly message: string | null }
>

export type Produce = (
  link: Link,
  batches: readonly ProducedBatch[],
  timeoutMs: number,
) => Promise<ProduceAnswer>

export function partKey(stream: string, partition: number): string {
  return `${stream}/${partition}`
}

const allInSync = -1

/** The library writes batches from message objects; this one takes batches that are written already. */
export function produceRequest(client: Client): Produce {
  type Answer = ReturnType<typeof client.produceV9.parseResponse>
  const api = client.createAPI<[readonly ProducedBatch[], number], Answer>(
    0,
    9,
    (batches: readonly ProducedBatch[], timeoutMs: number) => {
      const streams = Map.groupBy(batches, (batch) => batch.stream)
      return client.Writer.create()
        .appendString(null)
        .appendInt16(allInSync)
        .appendInt32(timeoutMs)
        .appendArray([...streams], (writer, [stream, parts]) => {
          writer.appendString(stream).appendArray(parts, (part, { partition, bytes }) => {
            part
              .appendInt32(partition)
              .appendUnsignedVarInt(bytes.length + 1)
              .append(bytes)
          })
        })
        .appendTaggedFields()
    },
    client.produceV9.parseResponse,
  )
  return async (link, batches, timeoutMs) => {
    const answer = await link.call(api, batches, timeoutMs)
    const results = new Map<string, { errorCode: number; base: number; message: string | null }>()
    for (const { name, partitionResponses } of answer.responses)
      for (const { index, errorCode, baseOffset, errorMessage } of partitionResponses)
        results.set(partKey(name, index), {
          errorCode,
          base: Number(baseOffset),
          message: errorMessage ?? null,
        })
    return results
  }
}

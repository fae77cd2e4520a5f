// Several inputs of one query in one request: each is answered as if it had come alone, a few at a time, until there is enough to send.
import { maxBatch, maxBatchAnswerBytes } from '../wire.ts'
import type { Answers } from './answerer.ts'
import type { IncomingCall } from './incoming-call.ts'
import { overloaded, problemReply, type Reply } from './reply.ts'

/** How many of one batch are answered at the same time. */
const atOnce = 10

export async function answerBatch(answerer: Answers, inputs: unknown, call: IncomingCall): Promise<Reply> {
  if (!Array.isArray(inputs) || inputs.length > maxBatch)
    return problemReply(400, 'INVALID_REQUEST', `A batch is an array of at most ${maxBatch} inputs.`)
  const elements: string[] = new Array(inputs.length).fill('')
  const full = overloaded(
    `The answers to this batch take more than ${maxBatchAnswerBytes} bytes: ask for this one again.`,
  )
  let next = 0
  let left = maxBatchAnswerBytes
  const work = async (): Promise<void> => {
    while (next < inputs.length) {
      const index = next++
      const reply = left > 0 ? await answerer.answer(inputs[index], call) : full
      const bytes = reply === full ? 0 : Buffer.byteLength(reply.body)
      elements[index] = element(bytes <= left ? reply : full)
      // Once one did not fit nothing more is asked.
      left = bytes <= left ? left - bytes : 0
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, inputs.length) }, work))
  return { status: 200, body: `[${elements.join(',')}]` }
}

/** What is JSON already is not read again. */
function element({ status, body }: Reply): string {
  return body === '' ? `{"status":${status}}` : `{"status":${status},"body":${body}}`
}

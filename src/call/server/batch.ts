// Several inputs of one query in one request: each is answered as if it had come alone, a few at a time.
import { maxBatch } from '../wire.ts'
import type { Answers } from './answerer.ts'
import type { IncomingCall } from './incoming-call.ts'
import { problemReply, type Reply } from './reply.ts'

/** How many of one batch are answered at the same time. */
const atOnce = 10

export async function answerBatch(answerer: Answers, inputs: unknown, call: IncomingCall): Promise<Reply> {
  if (!Array.isArray(inputs) || inputs.length > maxBatch)
    return problemReply(400, 'INVALID_REQUEST', `A batch is an array of at most ${maxBatch} inputs.`)
  const elements: string[] = new Array(inputs.length).fill('')
  let next = 0
  const work = async (): Promise<void> => {
    while (next < inputs.length) {
      const index = next++
      elements[index] = element(await answerer.answer(inputs[index], call))
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, inputs.length) }, work))
  return { status: 200, body: `[${elements.join(',')}]` }
}

/** What is JSON already is not read again. */
function element({ status, body }: Reply): string {
  return body === '' ? `{"status":${status}}` : `{"status":${status},"body":${body}}`
}

// One request of a call, from its headers to its reply.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import { asError } from '../../core/errors.ts'
import { maxBatchBytes, maxInputBytes } from '../wire.ts'
import type { Answers } from './answerer.ts'
import { type Authenticate, identify } from './authenticate.ts'
import { answerBatch } from './batch.ts'
import { IncomingCall } from './incoming-call.ts'
import { overloaded, problemReply, type Reply } from './reply.ts'
import { type BodyRoom, bodyOf } from './request-body.ts'
import { factsOf } from './request-facts.ts'

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly answerer: Answers
  readonly batch: boolean
}

interface Serving {
  readonly clock: Clock
  readonly authenticate?: Authenticate | undefined
  /** The calls under way: who stops ends them. */
  readonly calls: Set<IncomingCall>
  readonly room: BodyRoom
}

export async function serve({ request, response, answerer, batch }: Asked, serving: Serving): Promise<Reply> {
  const { contract } = answerer
  // Finding out who asks takes of the caller's time.
  const beganMs = serving.clock.elapsed()
  const asked = identify(serving.authenticate, request, contract)
  const who = asked instanceof Promise ? await asked : asked
  if (who.refused) return who.refused
  if (batch && contract.kind === 'command')
    return problemReply(
      400,
      'INVALID_REQUEST',
      `${contract.type} is a command; only queries have a batch form.`,
    )
  const said = factsOf(request.headers, contract, who.identity)
  if (typeof said === 'string') return problemReply(400, 'INVALID_REQUEST', said)
  const facts = { ...said, from: request.socket.remoteAddress }
  const call = new IncomingCall(contract.type, facts, serving.clock, beganMs)
  serving.calls.add(call)
  response.on('close', () => {
    if (response.writableFinished) return
    if (contract.kind === 'query') call.end('gone')
    else call.abandon()
  })
  const held = serving.room.hold()
  try {
    const maxBytes = batch ? maxBatchBytes : maxInputBytes
    const body = await bodyOf(request, maxBytes, held)
    if (body === 'cut') return problemReply(400, 'INVALID_REQUEST', 'The request ended before its body did.')
    if (body === 'no room') return overloaded('The calls under way take as much memory as there is for them.')
    if (body === 'no text') return problemReply(400, 'INVALID_REQUEST', 'The body is no UTF-8.')
    if (body === 'too large')
      return problemReply(413, 'TOO_LARGE', `The body of ${contract.type} has more than ${maxBytes} bytes.`)
    const input = parse(body.text)
    if ('wrong' in input) return problemReply(400, 'INVALID_REQUEST', input.wrong)
    return batch ? await answerBatch(answerer, input.value, call) : await answerer.answer(input.value, call)
  } finally {
    held.release()
    serving.calls.delete(call)
    call.close()
  }
}

function parse(text: string): { readonly value: unknown } | { readonly wrong: string } {
  if (text === '') return { value: undefined }
  try {
    return { value: JSON.parse(text) }
  } catch (thrown) {
    return { wrong: `The body is no JSON: ${asError(thrown).message}.` }
  }
}

// What a process knows of the contexts that it calls: for programs, and, asked from the same machine, for the command line.
import type { IncomingMessage } from 'node:http'
import { describe } from '../core/errors.ts'
import type { BreakerForce, BreakerSnapshot } from './breaker.ts'
import type { BulkheadSnapshot } from './bulkhead.ts'
import type { CallClient } from './client/client.ts'
import type { Target } from './client/target.ts'
import type { RetryBudgetSnapshot } from './retry-budget.ts'
import { problemReply, type Reply } from './server/reply.ts'

export const breakersPath = '/breakers'

/** A context that this process calls. */
export interface CalledContext {
  readonly context: string
  readonly breaker: BreakerSnapshot
  readonly bulkhead: BulkheadSnapshot
  readonly retryBudget: RetryBudgetSnapshot
  /** `well`: calls go there. */
  readonly instances: readonly {
    readonly address: string
    readonly inFlight: number
    readonly well: boolean
  }[]
}

export function calledContext({ context, destination, instances }: Target): CalledContext {
  const { breaker, bulkhead, retryBudget } = destination
  return {
    context,
    breaker: breaker.snapshot(),
    bulkhead: bulkhead.snapshot(),
    retryBudget: retryBudget.snapshot(),
    instances: instances.map(({ address, inFlight, isOut }) => ({ address, inFlight, well: !isOut })),
  }
}

/** Answers `GET /breakers` and `POST /breakers/<context>` with `{"force": "open" | "closed" | "auto"}`; `rest` is what follows the path. */
export async function breakersRoute(
  client: CallClient,
  request: IncomingMessage,
  rest: string,
  body: () => Promise<unknown>,
): Promise<Reply> {
  if (!isLocal(request))
    return problemReply(403, 'NOT_ACCEPTED', 'Breakers are asked for from the machine itself.')
  if (rest === '' && request.method === 'GET') return json(client.targets.map(calledContext))
  if (request.method !== 'POST') return problemReply(405, 'INVALID_REQUEST', 'A breaker is forced by POST.')
  const context = rest.slice(1)
  const target = client.targets.find((each) => each.context === context)
  if (!target) {
    const known = client.targets.map((each) => each.context).join(', ') || 'none'
    return problemReply(
      404,
      'INVALID_REQUEST',
      `This process has called no context ${context}; it called ${known}.`,
    )
  }
  const { force } = ((await body()) ?? {}) as { readonly force?: unknown }
  if (!isForce(force))
    return problemReply(400, 'INVALID_REQUEST', `force is ${describe(force)}; it takes open, closed or auto.`)
  target.destination.breaker.force(force)
  return json(calledContext(target))
}

export function isForce(value: unknown): value is BreakerForce {
  return value === 'open' || value === 'closed' || value === 'auto'
}

/** From this machine, by no page of a browser, and through no proxy that says so. */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  const from = socket.remoteAddress?.replace(/^::ffff:/, '') ?? ''
  const host = (headers.host ?? '').replace(/:\d+$/, '')
  const signs = ['origin', 'sec-fetch-site', 'forwarded', 'x-forwarded-for', 'via']
  return (
    (from === '::1' || from.startsWith('127.')) &&
    (host === 'localhost' || host === '[::1]' || /^127\.[\d.]+$/.test(host)) &&
    signs.every((name) => headers[name] === undefined)
  )
}

function json(value: unknown): Reply {
  return { status: 200, body: JSON.stringify(value) }
}

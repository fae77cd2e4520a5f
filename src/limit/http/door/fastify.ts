// Limits in front of Fastify 5.
import { fields } from '../fields.ts'
import { Door, type DoorOptions, type Entry, type Outgoing } from './door.ts'
import type { DoorLimits } from './door-limits.ts'
import { bodyFrom } from './node.ts'
import type { RawRequest } from './request-subject.ts'

/** What is needed of a request of Fastify. */
export interface FastifyLikeRequest {
  readonly raw: RawRequest
  readonly originalUrl?: string
  readonly body?: unknown
}

/** What is needed of a reply of Fastify. */
export interface FastifyLikeReply {
  readonly raw: Outgoing
  code(status: number): unknown
  header(name: string, value: string): unknown
  send(body: string): unknown
  hijack(): unknown
}

export type FastifyHook = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler'

type Run = (...parameters: never[]) => unknown

/** What is needed of an instance of Fastify. */
interface FastifyLike {
  addHook(name: FastifyHook, run: Run): unknown
}

export interface FastifyDoorOptions<Request> extends DoorOptions<Request> {
  /** When it asks. Default 'onRequest', before the body is read; after a hook that authenticates, which has to be registered before. */
  readonly hook?: FastifyHook
}

/**
 * A plugin: `app.register(limitFastify(limits({ rules }), { keys: { user: (request) => request.user?.id } }))`. It holds for all routes of the instance
 * that it is registered in, and of those within it. What is not let in is answered here; what a function of the options threw, by the instance's error handler.
 */
export function limitFastify<Request extends FastifyLikeRequest>(
  limits: DoorLimits,
  options: FastifyDoorOptions<Request> = {},
): (instance: FastifyLike, options: unknown) => Promise<void> {
  const { hook = 'onRequest', ...rest } = options
  const door = new Door<Request>(limits, rest)
  const run = async (request: Request, reply: FastifyLikeReply): Promise<unknown> => {
    const entered = door.enter(request, request.raw, reply.raw, () =>
      request.body === undefined ? bodyFrom(request.raw) : { parsed: request.body },
    )
    return pass(entered instanceof Promise ? await entered : entered, reply)
  }
  const plugin = async (instance: FastifyLike): Promise<void> => {
    instance.addHook(hook, run as Run)
  }
  // As fastify-plugin does: the hook is one of who registers it.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true })
}

/** Undefined lets it go on; a reply that was sent, or that nobody waits for, ends it. */
function pass(entry: Entry, reply: FastifyLikeReply): unknown {
  if (entry.kind === 'gone') {
    // Nothing more is done for it.
    reply.hijack()
    return reply
  }
  if (entry.kind === 'in') {
    const { policy, limit } = entry.fields
    if (policy === '') return undefined
    reply.header(fields.policy, policy)
    reply.header(fields.limit, limit)
    return undefined
  }
  const { status, headers, body } = entry.reply
  reply.code(status)
  for (const name of Object.keys(headers)) reply.header(name, headers[name]!)
  return reply.send(body)
}

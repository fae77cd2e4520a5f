// Limits in front of Hono 4, on Node and elsewhere.
import type { Decision } from '../../decision.ts'
import type { BodySource } from '../defer/request-body.ts'
import { fields } from '../fields.ts'
import { Door, type DoorOptions, type Outgoing } from './door.ts'
import type { DoorLimits } from './door-limits.ts'
import type { RawRequest } from './request-subject.ts'

/** What is needed of a context of Hono. `env` is that of @hono/node-server; elsewhere nobody knows the address of a client. */
export interface HonoContext {
  readonly req: {
    readonly method: string
    readonly url: string
    readonly raw?: { readonly body: AsyncIterable<Uint8Array> | null; readonly bodyUsed: boolean }
    text(): Promise<string>
    header(): Record<string, string>
  }
  readonly res: { readonly status: number }
  readonly env: unknown
  header(name: string, value: string): unknown
  body(text: string, status: never, headers: Record<string, string>): Response
}

interface MaybeRead {
  readonly readableDidRead?: boolean
}

interface NodeEnvironment {
  readonly incoming?: RawRequest
  readonly outgoing?: Outgoing
}

/**
 * A middleware: `app.use(limitHono(limits({ rules }), { keys: { user: (context) => context.get('user') } }))`. What is not let in is answered here; what a
 * function of the options threw, by the `onError` of the app.
 */
export function limitHono<Context extends HonoContext>(
  limits: DoorLimits,
  options: DoorOptions<Context> = {},
): (context: Context, next: () => Promise<void>) => Promise<Response | undefined> {
  const door = new Door<Context>(limits, options)
  return async (context, next) => {
    const { incoming, outgoing } = (context.env ?? {}) as NodeEnvironment
    const entered = door.enter(context, incoming ?? new Elsewhere(context), outgoing, () =>
      bodyOf(context, incoming),
    )
    const entry = entered instanceof Promise ? await entered : entered
    // Nobody reads it.
    if (entry.kind === 'gone') return new Response(null, { status: 499 })
    if (entry.kind === 'answered') {
      const { status, headers, body } = entry.reply
      return context.body(body, status as never, { ...headers })
    }
    const { policy, limit } = entry.fields
    if (policy !== '') {
      context.header(fields.policy, policy)
      context.header(fields.limit, limit)
    }
    if (outgoing) await next()
    else await ended(door, entry.decision, context, next)
    return undefined
  }
}

/** Hono keeps what was read of a request. */
function bodyOf({ req }: HonoContext, incoming: (RawRequest & MaybeRead) | undefined): BodySource {
  if (incoming?.readableDidRead ?? req.raw?.bodyUsed) return { parsed: req.text() }
  return { stream: (incoming as AsyncIterable<Uint8Array> | undefined) ?? req.raw?.body ?? undefined }
}

/** Where the end of a response is not seen it ends with its handler. */
async function ended<Context extends HonoContext>(
  door: Door<Context>,
  decision: Decision,
  context: Context,
  next: () => Promise<void>,
): Promise<void> {
  try {
    await next()
  } finally {
    door.end(decision, context, context.res.status)
  }
}

const noSocket: RawRequest['socket'] = {}

class Elsewhere implements RawRequest {
  readonly #context: HonoContext

  constructor(context: HonoContext) {
    this.#context = context
  }

  get method(): string {
    return this.#context.req.method
  }

  get url(): string {
    return this.#context.req.url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  }

  get headers(): RawRequest['headers'] {
    return this.#context.req.header()
  }

  get socket(): RawRequest['socket'] {
    return noSocket
  }
}

// Limits in front of Express 4 and 5, or whatever takes functions of (request, response, next).
import { Door, type DoorOptions } from './door.ts'
import type { DoorLimits } from './door-limits.ts'
import { bodyFrom, type NodeResponse, pass } from './node.ts'
import type { RawRequest } from './request-subject.ts'

/** What is needed of a request of Express. */
export interface ExpressRequest extends RawRequest {
  /** `url` without what a router has taken of it. */
  readonly originalUrl?: string
}

/**
 * A middleware: `app.use(limitExpress(limits({ rules }), { keys: { user: (request) => request.user?.id } }))`. After what authenticates, before what
 * works. What is not let in is answered here; what a function of the options threw goes to `next`.
 */
export function limitExpress<Request extends ExpressRequest>(
  limits: DoorLimits,
  options: DoorOptions<Request> = {},
): (request: Request, response: NodeResponse, next: (error?: unknown) => void) => void {
  const door = new Door<Request>(limits, options)
  return (request, response, next) => {
    try {
      const entry = door.enter(request, new Original(request), response, () => bodyFrom(request))
      if (entry instanceof Promise)
        // What writing throws, to a response that somebody has answered meanwhile, is an error of the app as well.
        entry
          .then((waited) => pass(waited, response))
          .then((goesOn) => {
            if (goesOn) next()
          }, next)
      else if (pass(entry, response)) next()
    } catch (thrown) {
      next(thrown)
    }
  }
}

/** A request with its whole path, wherever the middleware is mounted. */
class Original implements RawRequest {
  readonly #request: ExpressRequest

  constructor(request: ExpressRequest) {
    this.#request = request
  }

  get method(): string | undefined {
    return this.#request.method
  }

  get url(): string | undefined {
    return this.#request.originalUrl ?? this.#request.url
  }

  get headers(): RawRequest['headers'] {
    return this.#request.headers
  }

  get socket(): RawRequest['socket'] {
    return this.#request.socket
  }
}

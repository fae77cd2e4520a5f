// A request as the subject of a decision. Nothing of it is worked out before a rule asks for it, and nothing twice.
import { describe, SpillwayError } from '../../../core/errors.ts'
import type { AddressedRequest } from '../../address/trusted-proxies.ts'
import type { Subject } from '../../subject.ts'
import { endpointOf } from './endpoint.ts'

/** What is looked at of a request where nothing else is said: as node:http has it. */
export interface RawRequest extends AddressedRequest {
  readonly method?: string | undefined
  /** The path with its query. */
  readonly url?: string | undefined
}

/** How the values of a subject are found. `Request` is the framework's own. */
export interface SubjectOptions<Request> {
  /**
   * Who asks, by the names that rules bound by (`by: user`). Undefined for nobody. Synchronous: what authenticates comes before, and leaves on the
   * request what it found.
   */
  readonly keys?: Readonly<Record<string, (request: Request) => string | number | undefined | null>>
  /** What a request takes, by the names that rules say as their `cost`; `cost` itself is what it takes of all rules that say none. */
  readonly costs?: Readonly<Record<string, (request: Request) => number>>
  /** Chooses among the numbers of rules that give several. */
  readonly plan?: (request: Request) => string | undefined
  /** Which endpoint it asks for. Default: method and path, 'POST /uploads'. */
  readonly on?: (request: Request) => string | undefined
}

/** `isNameless`: its endpoint was asked for, and has no name: no rule that has an `on` could tell whether it is meant. */
export type RequestSubject = Subject & { readonly isNameless: unknown }

export type MakeSubject<Request> = (request: Request, raw: RawRequest) => RequestSubject

/** What subjects have of themselves. */
const own = new Set([
  'on',
  'plan',
  'address',
  'headers',
  'request',
  'raw',
  'isNameless',
  'constructor',
  '__proto__',
])
const missing = Symbol('not asked for')

/** `address` finds the client's; see `trustedProxies`. */
export function subjectsOf<Request>(
  options: SubjectOptions<Request>,
  address: (request: AddressedRequest) => string | undefined,
): MakeSubject<Request> {
  const { keys = {}, costs = {}, plan, on } = options

  class Made {
    readonly request: Request
    readonly raw: RawRequest
    isNameless = false
    #on: string | undefined | typeof missing = missing
    #address: string | undefined | typeof missing = missing
    #headers: RawRequest['headers'] | undefined

    constructor(request: Request, raw: RawRequest) {
      this.request = request
      this.raw = raw
    }

    get on(): string | undefined {
      if (this.#on === missing) this.#on = on ? on(this.request) : this.#endpoint()
      return this.#on
    }

    get plan(): string | undefined {
      return plan?.(this.request)
    }

    get address(): string | undefined {
      if (this.#address === missing) this.#address = address(this.raw)
      return this.#address
    }

    /** As they came: by them is given back what was taken by them, whatever a handler takes out. */
    get headers(): RawRequest['headers'] {
      this.#headers ??= { ...this.raw.headers }
      return this.#headers
    }

    #endpoint(): string | undefined {
      const endpoint = endpointOf(this.raw.method ?? 'GET', this.raw.url ?? '/')
      if (endpoint === undefined) this.isNameless = true
      return endpoint
    }
  }

  for (const [name, of] of [...Object.entries(keys), ...Object.entries(costs)]) {
    if (own.has(name) || (Object.hasOwn(keys, name) && Object.hasOwn(costs, name)))
      throw new SpillwayError(
        'INVALID_OPTION',
        `A key or a cost cannot be called ${name}: that has a meaning.`,
      )
    if (typeof of !== 'function')
      throw new SpillwayError('INVALID_OPTION', `${name} is ${describe(of)}, and no function of the request.`)
    const value = Symbol(name)
    // One getter for each name, on the prototype: a request that no rule asks pays for none.
    Object.defineProperty(Made.prototype, name, {
      get(this: Made & { [value]?: unknown }) {
        this[value] ??= checked(name, of(this.request)) ?? missing
        return this[value] === missing ? undefined : this[value]
      },
    })
  }
  return (request, raw) => new Made(request, raw) as unknown as RequestSubject
}

function checked(name: string, value: unknown): string | number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' || typeof value === 'number') return value
  throw new SpillwayError(
    'INVALID_OPTION',
    `${name} of a request is ${describe(value)}; it takes a text, a number or undefined.`,
    { remedy: 'Find it before, and leave it on the request: limits do not wait for it.' },
  )
}

// What all doors have in common, whatever the framework: a request becomes a subject, is decided about, and is let in, waits, or is answered here.
import { SpillwayError } from '../../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../../core/known-options.ts'
import { type AddressedRequest, trustedProxies } from '../../address/trusted-proxies.ts'
import type { Decision, RuleState } from '../../decision.ts'
import type { Limits } from '../../limits.ts'
import type { SharedLimits } from '../../shared/shared-limits-api.ts'
import { plain, type Reply, refusal } from './reply.ts'
import { type MakeSubject, type RawRequest, type SubjectOptions, subjectsOf } from './request-subject.ts'
import { FieldWriter, type Show, type StateFields } from './state-fields.ts'

/** What decides: limits of this process, or those that several share in a store. */
export type DoorLimits = Pick<Limits, 'decide' | 'admit'> | Pick<SharedLimits, 'decide' | 'admit'>

export interface DoorOptions<Request> extends SubjectOptions<Request> {
  /**
   * The ranges of the proxies in front, whose X-Forwarded-For is believed; or a function made by `trustedProxies` with other options. Default: none, and
   * a client is who connects.
   */
  readonly trustedProxies?: readonly string[] | ((request: AddressedRequest) => string | undefined)
  /**
   * Which rules clients are told of in RateLimit and RateLimit-Policy. Default 'own': those by a key of their own; of a bucket that others fill too they
   * would learn what others do. A key that anybody can claim (the name in a log-in, say) is none of one's own: leave its rules out by naming the others.
   */
  readonly show?: Show
  /** What was counted is given back when the response ends with such a status, or the client is gone before (0). Default: never. */
  readonly refund?: (status: number, request: Request) => boolean
  /** For tests. */
  readonly random?: () => number
}

const doorNames: OptionNames<DoorOptions<unknown>> = {
  keys: true,
  costs: true,
  plan: true,
  on: true,
  trustedProxies: true,
  show: true,
  refund: true,
  random: true,
}

/** What is needed of a response of node:http: when it ends. */
export interface Outgoing {
  readonly statusCode: number
  readonly writableFinished: boolean
  readonly closed: boolean
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}

/** Let in, with the fields that its response is to have; to be answered with `reply`; or nobody is there any more. */
export type Entry =
  | { readonly kind: 'in'; readonly decision: Decision; readonly fields: StateFields }
  | { readonly kind: 'answered'; readonly reply: Reply }
  | { readonly kind: 'gone' }

const gone: Entry = { kind: 'gone' }
const nameless: Entry = {
  kind: 'answered',
  reply: plain(400, 'Bad Request', 'The path of the request has . or .. in it: ask for what it names.'),
}

const decided = Symbol('decision of the door')

/**
 * What the door decided about a request that it let in: for handlers that give back (`refund`) or take more (`penalize`). Undefined for a request that
 * came by no door. Of Fastify and Hono it takes what their handlers are given.
 */
export function decisionOf(request: object): Decision | undefined {
  return (request as { readonly [decided]?: Decision })[decided]
}

export class Door<Request extends object> {
  readonly #limits: DoorLimits
  readonly #subject: MakeSubject<Request>
  readonly #writer: FieldWriter
  readonly #refund: DoorOptions<Request>['refund']
  readonly #random: () => number

  constructor(limits: DoorLimits, options: DoorOptions<Request>) {
    checkOptions('limits at a door', options, doorNames as OptionNames<DoorOptions<Request>>)
    if (typeof limits?.decide !== 'function')
      throw new SpillwayError(
        'INVALID_OPTION',
        'A door wants the limits first: limits({ rules }), or sharedLimits({ rules, store }).',
      )
    const { trustedProxies: trusted = [], show = 'own', refund, random = Math.random } = options
    this.#limits = limits
    this.#subject = subjectsOf(options, addressBy(trusted))
    this.#writer = new FieldWriter(show)
    this.#refund = refund
    this.#random = random
  }

  /** Decides at once; a promise only for what waits, and where a store is asked. Throws, or rejects with, what a function of the options threw. */
  enter(request: Request, raw: RawRequest, outgoing: Outgoing | undefined): Entry | Promise<Entry> {
    const subject = this.#subject(request, raw)
    const decision = this.#limits.decide(subject)
    return decision instanceof Promise
      ? decision.then((decided) => this.#decided(decided, request, subject, outgoing))
      : this.#decided(decision, request, subject, outgoing)
  }

  #decided(
    decision: Decision,
    request: Request,
    subject: ReturnType<MakeSubject<Request>>,
    outgoing: Outgoing | undefined,
  ): Entry | Promise<Entry> {
    if (subject.isNameless === true) {
      decision.refund()
      return nameless
    }
    if (outgoing?.closed) {
      decision.refund()
      return gone
    }
    if (decision.outcome === 'wait') return this.#wait(request, subject, outgoing)
    return this.#entry(decision, request, outgoing)
  }

  /** The response to a request that was let in has ended with this status; 0: its client was gone before. Of itself where `enter` was given it. */
  end(request: Request, status: number): void {
    const decision = decisionOf(request)
    if (this.#refund?.(status, request)) decision?.refund()
    else decision?.release()
  }

  async #wait(
    request: Request,
    subject: ReturnType<MakeSubject<Request>>,
    outgoing: Outgoing | undefined,
  ): Promise<Entry> {
    const left = new AbortController()
    const onClose = () => left.abort()
    outgoing?.once('close', onClose)
    const decision = await this.#limits.admit(subject, { signal: left.signal })
    outgoing?.off('close', onClose)
    if (!left.signal.aborted) return this.#entry(decision, request, outgoing)
    // Its turn and its end came together.
    decision.refund()
    return gone
  }

  #entry(decision: Decision, request: Request, outgoing: Outgoing | undefined): Entry {
    if (!decision.allowed) return { kind: 'answered', reply: refusal(decision, this.#writer, this.#random) }
    ;(request as { [decided]?: Decision })[decided] = decision
    const { states } = decision
    if (outgoing !== undefined && (this.#refund !== undefined || states.some(isHeld)))
      outgoing.once('close', () => this.end(request, outgoing.writableFinished ? outgoing.statusCode : 0))
    return { kind: 'in', decision, fields: this.#writer.write(states) }
  }
}

/** Where nobody is trusted the peer is the client, and there is nothing to find. */
function addressBy(trusted: NonNullable<DoorOptions<unknown>['trustedProxies']>) {
  if (typeof trusted === 'function') return trusted
  const walk = trustedProxies(trusted)
  return trusted.length > 0 ? walk : ({ socket }: AddressedRequest) => socket.remoteAddress
}

/** Places are held as long as the work lasts. */
function isHeld({ windowMs }: RuleState): boolean {
  return windowMs === undefined
}

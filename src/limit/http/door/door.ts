// What all doors have in common, whatever the framework: a request becomes a subject, is decided about, and is let in, waits, or is answered here.
import { asError, SpillwayError } from '../../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../../core/known-options.ts'
import { canonicalAddress } from '../../address/canonical.ts'
import { type AddressedRequest, trustedProxies } from '../../address/trusted-proxies.ts'
import type { Decision, RuleState } from '../../decision.ts'
import { keyText } from '../../key-text.ts'
import { MadeDecision } from '../../made-decision.ts'
import type { Subject } from '../../subject.ts'
import { cannotTell, deferred, keyIn, stateReply } from '../defer/defer-reply.ts'
import type { Deferral } from '../defer/deferral.ts'
import { type BodySource, textOf } from '../defer/request-body.ts'
import type { DoorLimits } from './door-limits.ts'
import { plain, type Reply, refusal } from './reply.ts'
import { type MakeSubject, type RawRequest, type SubjectOptions, subjectsOf } from './request-subject.ts'
import { FieldWriter, type Show, type StateFields } from './state-fields.ts'

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
  /** Takes what rules with `over: defer` do not allow yet, made by `deferral()`. Without one it is refused, and so is what is safe (GET): that is simply asked again. */
  readonly defer?: Deferral
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
  defer: true,
  random: true,
}

/** What is needed of a response of node:http: when it ends. */
export interface Outgoing {
  readonly statusCode: number
  readonly writableEnded: boolean
  readonly writableFinished: boolean
  readonly closed: boolean
  /** Of HTTP/2, whose responses do not say that they are closed. */
  readonly stream?: { readonly destroyed: boolean } | undefined
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
  reply: plain(
    400,
    'Bad Request',
    'The target of the request names one thing or another: write its path without . or .., and with one slash at its beginning.',
  ),
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
  readonly #defer: Deferral | undefined
  readonly #names: readonly string[]
  readonly #owners: readonly string[]

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
    this.#defer = options.defer
    this.#owners = Object.keys(options.keys ?? {})
    this.#names = ['on', 'plan', 'address', ...this.#owners, ...Object.keys(options.costs ?? {})]
  }

  /** Decides at once; a promise only for what waits, and where a store is asked. Throws, or rejects with, what a function of the options threw. */
  enter(
    request: Request,
    raw: RawRequest,
    outgoing: Outgoing | undefined,
    body?: () => BodySource,
  ): Entry | Promise<Entry> {
    const subject = this.#subject(request, raw)
    const decision = this.#limits.decide(subject)
    return decision instanceof Promise
      ? decision.then((decided) => this.#decided(decided, request, subject, outgoing, raw, body))
      : this.#decided(decision, request, subject, outgoing, raw, body)
  }

  #decided(
    decision: Decision,
    request: Request,
    subject: ReturnType<MakeSubject<Request>>,
    outgoing: Outgoing | undefined,
    raw: RawRequest,
    body: (() => BodySource) | undefined,
  ): Entry | Promise<Entry> {
    if (subject.isNameless === true) {
      decision.refund()
      return nameless
    }
    if (isOver(outgoing)) {
      decision.refund()
      return gone
    }
    if (this.#defer !== undefined) {
      if (decision.outcome === 'defer' && !safe.has(raw.method ?? 'GET'))
        return this.#putOff(this.#defer, decision, subject, raw, body)
      if (decision.outcome !== 'reject' && isKeyed(raw))
        return this.#unlessKnown(this.#defer, decision, request, subject, outgoing, raw, body)
      if (raw.method === 'GET' && raw.url?.startsWith(this.#defer.at))
        return this.#tell(this.#defer, this.#goOn(decision, request, subject, outgoing), subject, raw.url)
    }
    return this.#goOn(decision, request, subject, outgoing)
  }

  #goOn(
    decision: Decision,
    request: Request,
    subject: ReturnType<MakeSubject<Request>>,
    outgoing: Outgoing | undefined,
  ): Entry | Promise<Entry> {
    return decision.outcome === 'wait'
      ? this.#wait(request, subject, outgoing)
      : this.#entry(decision, request, outgoing)
  }

  /** A key that was deferred is not done now as well, when it is asked again and the limit would allow it: it is told what became of it. */
  async #unlessKnown(
    defer: Deferral,
    decision: Decision,
    request: Request,
    subject: ReturnType<MakeSubject<Request>>,
    outgoing: Outgoing | undefined,
    raw: RawRequest,
    body: (() => BodySource) | undefined,
  ): Promise<Entry> {
    const owner = this.#ownerOf(subject, decision)
    const key = keyIn(raw.headers['idempotency-key'])
    if (owner === undefined || key === undefined) return this.#goOn(decision, request, subject, outgoing)
    const known = await defer.knows(owner, key).catch(() => 'away' as const)
    if (isOver(outgoing)) {
      decision.refund()
      return gone
    }
    if (known === false) return this.#goOn(decision, request, subject, outgoing)
    decision.refund()
    if (known === true) return this.#putOff(defer, decision, subject, raw, body)
    return answered(cannotTell(this.#random))
  }

  async #putOff(
    defer: Deferral,
    decision: Decision,
    subject: Subject,
    raw: RawRequest,
    body: (() => BodySource) | undefined,
  ): Promise<Entry> {
    const owner = this.#ownerOf(subject, decision)
    const key = keyIn(raw.headers['idempotency-key'])
    if (key === undefined)
      return answered(plain(400, 'Bad Request', 'Idempotency-Key takes 1 to 200 visible ASCII characters.'))
    const text = owner === undefined ? undefined : await textOf(body?.() ?? sourceOf(raw), defer.maxBodyBytes)
    if (owner === undefined || text === undefined)
      return answered(refusal(decision, this.#writer, this.#random))
    if (typeof text !== 'string') {
      if (text.wrong === 'cut') return gone
      return answered(
        text.wrong === 'no text'
          ? refusal(decision, this.#writer, this.#random)
          : plain(
              413,
              'Content Too Large',
              `A request that is deferred has at most ${defer.maxBodyBytes} bytes.`,
            ),
      )
    }
    const values = this.#names.map((name) => [name, subject[name]] as const)
    const reply = await deferred(
      defer,
      {
        key: key === 'none' ? undefined : key,
        owner,
        method: raw.method ?? '',
        target: raw.url ?? '',
        headers: kept(raw.headers, defer.headers),
        body: text,
        subject: Object.fromEntries(values.filter(([, value]) => value !== undefined)) as Record<
          string,
          string
        >,
      },
      decision.retryAfterMs,
      this.#random,
    )
    return answered(reply ?? refusal(decision, this.#writer, this.#random))
  }

  /** Once it is let in, which may be after a line. */
  async #tell(
    defer: Deferral,
    entering: Entry | Promise<Entry>,
    subject: Subject,
    path: string,
  ): Promise<Entry> {
    const entry = await entering
    if (entry.kind !== 'in') return entry
    const owner = this.#ownerOf(subject, entry.decision)
    const reply = await stateReply(defer, path.split('?', 1)[0]!, owner, this.#random)
    entry.decision.release('unmeasured')
    return answered(reply)
  }

  /** Whose a request is: by the keys of the door, else by its address; short, whatever they are. Undefined for nobody's. */
  #ownerOf(subject: Subject, decision: Decision): string | undefined {
    try {
      const values = this.#owners.map((name) => subject[name] ?? null)
      if (values.some((value) => value !== null)) return keyText([JSON.stringify(values)])
      return canonicalAddress(subject.address)
    } catch (thrown) {
      // No rule had asked for that key: what they counted, and the places that they gave, go back.
      decision.refund()
      throw thrown
    }
  }

  /**
   * The response to a request that was let in by this decision has ended with this status; 0: its client was gone before. Of itself where `enter` was given
   * the response. (By the decision, since a request may have come by several doors.)
   */
  end(decision: Decision, request: Request, status: number): void {
    if (this.#refunds(status, request)) decision.refund()
    else decision.release(status === 0 ? 'unmeasured' : isDrop(status) ? 'dropped' : 'done')
  }

  /** Nobody is there any more who could be told what it throws, and the place has to be given back. */
  #refunds(status: number, request: Request): boolean {
    try {
      return Boolean(this.#refund?.(status, request))
    } catch (thrown) {
      process.emitWarning(`refund of a door threw: ${asError(thrown).message}`, 'SpillwayWarning')
      return false
    }
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
    const states = decision instanceof MadeDecision ? decision.statesFound : decision.states
    if (outgoing !== undefined && (this.#refund !== undefined || states.some(isHeld)))
      outgoing.once('close', () => this.end(decision, request, statusOf(outgoing)))
    return { kind: 'in', decision, fields: this.#writer.write(states) }
  }
}

function isOver(outgoing: Outgoing | undefined): boolean {
  return outgoing !== undefined && (outgoing.closed || outgoing.stream?.destroyed === true)
}

/** 0 for one whose client was gone before: of HTTP/2 it has finished then, and not ended. */
function statusOf({ writableEnded, writableFinished, statusCode }: Outgoing): number {
  return writableEnded && writableFinished ? statusCode : 0
}

/** What is behind had no room, or took too long. */
function isDrop(status: number): boolean {
  return status === 503 || status === 504
}

/** What changes nothing is simply asked again. */
const safe = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

function isKeyed({ method = 'GET', headers }: RawRequest): boolean {
  return headers['idempotency-key'] !== undefined && !safe.has(method)
}

function answered(reply: Reply): Entry {
  return { kind: 'answered', reply }
}

function sourceOf(raw: RawRequest): BodySource {
  return Symbol.asyncIterator in raw ? { stream: raw as unknown as AsyncIterable<Uint8Array> } : {}
}

function kept(headers: RawRequest['headers'], names: readonly string[]): Record<string, string> {
  const found = names.map((name) => [name, headers[name]] as const)
  return Object.fromEntries(
    found.filter((each): each is readonly [string, string] => typeof each[1] === 'string'),
  )
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

// Deferring, as a limit sees it: a queue that takes requests, and a store that knows what became of them. A limit imports neither.

/** A request that waits on a queue, as its message has it. */
export interface DeferredRequest {
  /** Names it: of its status, and the idempotency key of whatever is done for it. */
  readonly id: string
  /** Whose it is. Those of one owner are worked off in their order; owners take turns. */
  readonly owner: string
  readonly method: string
  /** Path and query, as they came. */
  readonly target: string
  /** Those that are kept, by names in small letters. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Not begun after this, in milliseconds since the epoch. */
  readonly expiresAt: number
  /** What limits looked at, to be decided about again. */
  readonly subject: Readonly<Record<string, string | number>>
}

/** What a queue does for it: what `spillway.queue(name, deferredQueue())` gives fits. */
export interface DeferQueue {
  /** Resolves once it is durable. While a message with this id is on the queue there is no second one. */
  send(request: DeferredRequest, options: { readonly id: string; readonly ttl: number }): Promise<unknown>
}

/** What was made of a request that was worked off. */
export interface DeferredResult {
  readonly status: number
  readonly body?: string | undefined
}

/** What is known of a request. One that is `queued` and past its `expiresAt` is told of as expired. */
export interface DeferredState {
  readonly id: string
  readonly owner: string
  /** Of method, target and body: the same key with another request is not the same. */
  readonly fingerprint: string
  readonly expiresAt: number
  readonly status: 'queued' | 'done' | 'failed' | 'expired'
  readonly result?: DeferredResult | undefined
}

export interface DeferBounds {
  /** How many are queued at most, of all owners and of each. Those that have expired are not counted. */
  readonly depth: number
  readonly perOwner: number
  /** Until when it is known, in milliseconds since the epoch. */
  readonly keepUntil: number
}

export interface DeferStore {
  /** In one atomic act: stores it as queued; or says that it is known, whatever became of it; or that as many are queued as may be. */
  begin(state: DeferredState, bounds: DeferBounds, nowMs: number): Promise<DeferredState | 'new' | 'full'>
  /** Undefined for one that is not known, or not any more. */
  get(id: string, nowMs: number): Promise<DeferredState | undefined>
  /** One that is queued has begun: it is past its end later. Of any other it changes nothing. */
  extend(id: string, expiresAt: number): Promise<void>
  /** The end of one that is queued; of any other it changes nothing. */
  end(id: string, status: 'done' | 'failed' | 'expired', result?: DeferredResult): Promise<void>
  /** It was not queued after all: forgotten, unless it was begun again meanwhile. Then somebody else has put it on the queue, or will. */
  drop(id: string): Promise<void>
}

// The one error class, and the one table of codes. The table also makes docs/reference/errors.md.

/** What stands in the table for each code. */
export interface CodeEntry {
  /** Whether the same call may succeed later without anything being changed. */
  readonly retryable: boolean
  /** What happened, in one sentence. */
  readonly meaning: string
  /** What was kept, and what the reader can do now. */
  readonly remedy: string
}

export const errorCodes = {
  INVALID_DATA: {
    retryable: false,
    meaning: 'Data does not satisfy the schema of its contract.',
    remedy:
      'Nothing was stored. `details.issues` lists the path of every problem; correct the data or the schema.',
  },
  INVALID_MESSAGE: {
    retryable: false,
    meaning: 'A stored message is no CloudEvents 1.0 envelope, or its data does not satisfy the schema.',
    remedy:
      'It is kept: a consumer moves it to the dead letters with this reason, a read stops at it. Inspect it there, or correct the schema.',
  },
  UNKNOWN_VERSION: {
    retryable: false,
    meaning: 'A message carries a schema version that this program has no upcaster for.',
    remedy:
      'It is kept: a consumer moves it to the dead letters, a read stops at it. Deploy a program that knows the version, then redrive.',
  },
  UPCAST_FAILED: {
    retryable: false,
    meaning: 'An upcaster threw, or what it returned does not satisfy the current schema.',
    remedy:
      'The message is kept: a consumer moves it to the dead letters, a read stops at it. Correct the upcaster, then redrive.',
  },
  INVALID_NAME: {
    retryable: false,
    meaning: 'The name of a context, queue, stream, event or group is not allowed.',
    remedy:
      'Nothing was made. Use letters, digits, dot, dash and underscore, starting with a letter; 100 characters at most.',
  },
  INVALID_OPTION: {
    retryable: false,
    meaning: 'An option has a value that cannot work.',
    remedy: 'Nothing was done. Correct the option that is named here.',
  },
  INVALID_RULE: {
    retryable: false,
    meaning: 'A rule of a rate limit cannot hold as it is written.',
    remedy:
      'No rule was taken; those that were in force stay. `details.problems` lists every rule, field and reason; correct them and load all again.',
  },
  TOO_LARGE: {
    retryable: false,
    meaning: 'A message is larger than the engine accepts.',
    remedy: 'Nothing was stored. Store the bulk elsewhere and send a reference to it.',
  },
  UNKNOWN_QUEUE: {
    retryable: false,
    meaning: 'The queue has not been declared on this engine.',
    remedy:
      'Nothing was changed. Declare it first: `spillway.queue(name)`, or list its context in the topology.',
  },
  UNKNOWN_MESSAGE: {
    retryable: false,
    meaning: 'A message was to wait for another one that the engine does not know.',
    remedy:
      'Nothing was stored. Give the queue of the other one `flow: true` in its contract, and send it first; what ended more than seven days ago is not known any more.',
  },
  UNKNOWN_STREAM: {
    retryable: false,
    meaning: 'The stream has not been declared on this engine.',
    remedy:
      'Nothing was changed. Declare it first: `spillway.stream(name)`, or list its context in the topology.',
  },
  UNKNOWN_EVENT: {
    retryable: false,
    meaning: 'The event is not one that this context publishes.',
    remedy:
      'Nothing was stored. Only the owner of a stream may append to it: publish an event of your own context.',
  },
  CONFIGURATION: {
    retryable: false,
    meaning: 'The topology or a service is put together in a way that cannot work.',
    remedy:
      'Nothing was started. Correct the part that is named here; `spillway check` tells when all is well.',
  },
  CAPABILITY_MISSING: {
    retryable: false,
    meaning: 'The engine does not have a feature that the program asks for.',
    remedy: 'Nothing was started or stored. Choose an engine that has it, or do without.',
  },
  DURABILITY: {
    retryable: false,
    meaning: 'The engine was found with a setting weaker than the promise, and strict mode refuses that.',
    remedy: 'Nothing was opened. Strengthen the setting that is named here, or open without `strict`.',
  },
  ENGINE_UNAVAILABLE: {
    retryable: true,
    meaning: 'The engine cannot be reached, or did not answer in time.',
    remedy:
      'What had resolved before is kept; what is pending was refused or is unknown. Check the server and try again.',
  },
  ENGINE_TOO_OLD: {
    retryable: false,
    meaning: 'The server is older than the oldest version that Spillway works with.',
    remedy: 'Nothing was changed. Upgrade the server to the version that is named here.',
  },
  ENGINE_FAILED: {
    retryable: false,
    meaning: 'The engine refused an operation for a reason of its own.',
    remedy:
      'What had resolved before is kept; whether this took place is unknown. The native error is the `cause`.',
  },
  CLIENT_MISSING: {
    retryable: false,
    meaning: 'The client library of the engine is not installed.',
    remedy: 'Nothing was opened. Install the package that is named here.',
  },
  STORE_CORRUPT: {
    retryable: false,
    meaning: 'A database file is damaged, or is not one of Spillway.',
    remedy: 'Nothing was changed. Restore the file from a backup, or move it away to start anew.',
  },
  STORE_FROM_FUTURE: {
    retryable: false,
    meaning: 'The database was written by a newer version of Spillway.',
    remedy: 'Nothing was changed. Run the newer version.',
  },
  STORE_FULL: {
    retryable: true,
    meaning: 'The disk that holds the database is full.',
    remedy: 'What had resolved is kept; this call stored nothing. Free space and try again.',
  },
  LEASE_LOST: {
    retryable: false,
    meaning: 'The lease or the partition of this handler passed to another consumer.',
    remedy: 'Its effects were refused and the message will be handled by the other consumer.',
  },
  CANCELLED: {
    retryable: false,
    meaning: 'Somebody cancelled the message while it was handled.',
    remedy: 'Its handler should end; the message is gone, however the handler ends.',
  },
  EXPIRED: {
    retryable: false,
    meaning: 'A message was not begun within its time-to-live.',
    remedy: 'It was moved to the dead letters, its handler did not run. If it is still wanted, send it anew.',
  },
  TOO_OLD: {
    retryable: false,
    meaning:
      'A message of a queue is older than the inbox of its service remembers: it may be a copy of one that was handled.',
    remedy:
      'It was moved to the dead letters, its handler did not run. Redriving it runs it; `inbox: { keep }` of the service says for how long is remembered.',
  },
  SAGA_MISSING: {
    retryable: true,
    meaning: 'An event came for an instance of a saga that has not started.',
    remedy:
      "By `missing: 'wait'` it is tried again until the instance starts, then by `onFailure`; by 'ignore' it was passed over.",
  },
  SAGA_ENDED: {
    retryable: false,
    meaning: 'An event came for an instance of a saga that has ended.',
    remedy: 'It was passed over. An instance ends once: give each run of the process an id of its own.',
  },
  SAGA_EXISTS: {
    retryable: false,
    meaning: 'An event that starts a saga came for an instance that runs already.',
    remedy: 'It was passed over. If it should go on with the instance too, give the saga an `on` for it.',
  },
  HANDLER_TIMEOUT: {
    retryable: true,
    meaning: 'A handler did not end within its deadline.',
    remedy: 'Its signal was aborted and the attempt counted as failed; the message is retried by its policy.',
  },
  LOOP_BLOCKED: {
    retryable: true,
    meaning: 'The event loop was blocked for longer than a lease or session lasts.',
    remedy:
      'Messages may have passed to other consumers; their effects are refused here. Move long computations off the event loop.',
  },
  HANDLER_FAILED: {
    retryable: true,
    meaning: 'A handler threw.',
    remedy:
      'The message is tried again by its policy. When its attempts are used up it goes to the dead letters; an event goes where `onFailure` says.',
  },
  COMMIT_TWICE: {
    retryable: false,
    meaning: 'A handler called `commit` a second time, or published or sent after it.',
    remedy: 'Nothing of the second commit was stored. Put all effects into the one commit at the end.',
  },
  COMMIT_ASYNC: {
    retryable: false,
    meaning: 'The transaction of a synchronous database was given an asynchronous function.',
    remedy:
      'The transaction was rolled back. Do outside work before `commit`, and only database work inside it.',
  },
  OUTSIDE_IO: {
    retryable: false,
    meaning: 'Outside I/O was started inside a database transaction.',
    remedy:
      'The transaction was rolled back. Do outside work before `commit`; it must not hold a transaction open.',
  },
  TRANSACTION_TIMEOUT: {
    retryable: true,
    meaning: 'A transaction was held open longer than its bound.',
    remedy: 'It was rolled back. Keep only database work inside it.',
  },
  NO_DATABASE: {
    retryable: false,
    meaning: 'A handler asked for its database, but its service has none.',
    remedy: 'Nothing was stored. Give the service a `database`.',
  },
  NO_TRANSACTION: {
    retryable: false,
    meaning: 'What was given to `join()` is no open transaction of the database of the service.',
    remedy:
      'This message was not stored. Give it the transaction that your own statements run in, wait for what it returns, and join anew for each transaction.',
  },
  DIRECT_SEND: {
    retryable: false,
    meaning: 'A message was sent past the transaction from inside a handler.',
    remedy:
      "Nothing was stored. Use the handler's own `publish` and `send`: they are committed with its effects.",
  },
  BACKLOG_FULL: {
    retryable: true,
    meaning: 'A bounded buffer is full.',
    remedy: 'This call stored nothing. Slow down, or wait for what is under way.',
  },
  UNKNOWN_CALL: {
    retryable: false,
    meaning: 'Who was asked answers no such call, or not in this version.',
    remedy:
      'Nothing was done. Deploy the service that answers it first, or ask in a version that is still answered.',
  },
  NO_ADDRESS: {
    retryable: false,
    meaning: 'A context was called that does not run here, and for which the topology has no address.',
    remedy: "Nothing left. Name its instances: `topology({ addresses: { orders: ['http://…'] } })`.",
  },
  UNREACHABLE: {
    retryable: true,
    meaning: 'No instance of the context that was called could be reached.',
    remedy: 'Nothing left. Ask again once it is there; look at its address and its process.',
  },
  BREAKER_OPEN: {
    retryable: true,
    meaning: 'A call was not made, because too many before it failed.',
    remedy:
      'Nothing left. The breaker lets a few calls through from time to time and closes when they go well.',
  },
  BULKHEAD_FULL: {
    retryable: true,
    meaning: 'As many calls to this context are under way and waiting as are allowed.',
    remedy: 'Nothing left. Ask again later; if it is often so, allow more or find what is slow.',
  },
  DEADLINE: {
    retryable: true,
    meaning: 'The deadline of a call passed.',
    remedy: 'Ask again, with the same key, or allow more time.',
  },
  NO_ANSWER: {
    retryable: true,
    meaning: 'A call left, and no answer came that could be read.',
    remedy: 'Whether it was done is unknown. Asking again with the same key gives the one true answer.',
  },
  NOT_ACCEPTED: {
    retryable: false,
    meaning: 'Who was called does not accept this caller.',
    remedy: 'Nothing was done. Give the calls of that context `credentials` that it accepts.',
  },
  RATE_LIMITED: {
    retryable: true,
    meaning: 'A request or a call is more than a limit allows for now.',
    remedy: 'Nothing was done. Ask again after the time that `details.retryAfterMs` says.',
  },
  OVERLOADED: {
    retryable: true,
    meaning: 'Who was called takes no more calls for now, or is stopping.',
    remedy: 'Nothing was begun. Ask again later, with the same key.',
  },
  ANSWER_FAILED: {
    retryable: true,
    meaning: 'What answers a call threw.',
    remedy:
      'Nothing was stored. Its service has the reason; ask again, with the same key, when it is mended.',
  },
  INVALID_ANSWER: {
    retryable: false,
    meaning: 'The answer to a call does not satisfy the schema of its contract, or is too large.',
    remedy:
      'A command was done all the same. `details.issues` lists the path of every problem; correct who answers, or the contract.',
  },
  KEY_REUSED: {
    retryable: false,
    meaning:
      'The idempotency key of a call was used before with another input, or for another version of it.',
    remedy:
      'Nothing was done for this input. Name a key of its own for it, or ask again with the first input.',
  },
  KEY_TOO_OLD: {
    retryable: false,
    meaning:
      'The idempotency key of a call is older than keys are remembered, so that nobody knows whether it was done.',
    remedy: 'It was not run. Find out what became of it, then ask with a new key if it is still wanted.',
  },
  CALL_FAILED: {
    retryable: false,
    meaning: 'A call failed, and its value was asked for.',
    remedy: 'Nothing was done. `details.reason` and `details.data` say how; the `cause` says why.',
  },
  CALL_UNKNOWN: {
    retryable: true,
    meaning: 'A call left without an answer, and its value was asked for.',
    remedy:
      'Whether it was done is unknown. A handler that is tried again asks with the same key and learns it.',
  },
  EVENTS_TRIMMED: {
    retryable: false,
    meaning:
      'Events were removed from their stream before a group had read them, or before they were asked for by key.',
    remedy:
      'Reading goes on at the earliest event kept. Keep events for longer, or let the group catch up sooner.',
  },
  STREAM_REPLACED: {
    retryable: false,
    meaning:
      'A stream ends before what a group has handled of it: it was deleted and made anew, or restored from an older copy than the group.',
    remedy:
      "What is appended below the group's position is not handled. Say from where the group is to go on: `group(…).replay('earliest')`, or from a time.",
  },
  RUNS_MISSED: {
    retryable: false,
    meaning: 'Due times of a schedule passed while no consumer of its queue was there to fire them.',
    remedy:
      "What the rule of the schedule leaves out was not sent; it goes on. Keep a consumer running, or choose `missed: 'all'`.",
  },
  HELD_UP: {
    retryable: true,
    meaning: 'A partition stands still behind an event that keeps failing.',
    remedy: "Nothing is lost. Mend the handler, or choose `onFailure: 'skip'`.",
  },
  OWNER_AWAY: {
    retryable: true,
    meaning: 'The owner of pointer events cannot be asked for their payloads.',
    remedy:
      'Their events wait, and nothing is lost; they go on by themselves when it answers. Look at the reason that is given, and at its process.',
  },
  OWNER_BEHIND: {
    retryable: true,
    meaning: 'The owner of a pointer event still answers with a version before that of the event.',
    remedy:
      'The events of this key wait, and nothing is lost. Look how far its replica lags; an owner that was restored has to raise its versions above what it published.',
  },
  NOT_SEEN: {
    retryable: false,
    meaning: 'A test waited for a message that did not end so in time.',
    remedy: 'Compare what was seen with what was waited for; `within` gives it longer.',
  },
  INVALID_REQUEST: {
    retryable: false,
    meaning:
      'An HTTP request is none of a call: its path, method, headers or body are not as they have to be.',
    remedy: 'Nothing was done. Correct what is named here; docs/guides/calls.md has the form of a request.',
  },
  ABORTED: {
    retryable: true,
    meaning: 'The call was ended by its signal.',
    remedy: 'Whether a write that was already under way took place is unknown.',
  },
  CLOSED: {
    retryable: false,
    meaning: 'The object was closed.',
    remedy: 'Nothing was stored by this call. Open it again.',
  },
  INTERNAL: {
    retryable: false,
    meaning: 'Spillway broke a rule of its own.',
    remedy: 'This is a defect: please report it with the message and the stack.',
  },
} as const

export type ErrorCode = keyof typeof errorCodes

export interface SpillwayErrorOptions {
  readonly engine?: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
  /** Overrides the table's answer. */
  readonly retryable?: boolean
  /** Overrides the table's, where that would not be true. */
  readonly remedy?: string
}

const brand = Symbol.for('spillway.error')

/** The only error that Spillway throws. `code` is stable; the message says what happened, what was kept, what to do. */
export class SpillwayError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly engine: string | undefined
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, what: string, options: SpillwayErrorOptions = {}) {
    super(
      `${what} ${options.remedy ?? errorCodes[code].remedy} [${code}]`,
      'cause' in options ? { cause: options.cause } : undefined,
    )
    this.name = 'SpillwayError'
    this.code = code
    this.retryable = options.retryable ?? errorCodes[code].retryable
    this.engine = options.engine
    this.details = options.details
  }
}

Object.defineProperty(SpillwayError.prototype, brand, { value: true })

/** True for errors of any copy of Spillway that is loaded, also of another version. */
export function isSpillwayError(value: unknown, code?: ErrorCode): value is SpillwayError {
  if (typeof value !== 'object' || value === null) return false
  try {
    return brand in value && (code === undefined || (value as unknown as SpillwayError).code === code)
  } catch {
    return false
  }
}

const passing: ReadonlySet<ErrorCode> = new Set(['ENGINE_FAILED'])

/**
 * True when background work should end because of it: trying again cannot help. A failure of the engine's own, and whatever is
 * none of ours, may pass.
 */
export function isFinal(thrown: unknown): thrown is SpillwayError {
  return isSpillwayError(thrown) && !thrown.retryable && !passing.has(thrown.code)
}

/** Anything that was thrown, as an Error with a message: handlers throw strings, undefined, and objects that refuse to be read. */
export function asError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error && typeof thrown.message === 'string') return thrown
  } catch {
    // It has a getter or a trap that throws.
  }
  return new Error(`a value that is no Error was thrown: ${describe(thrown)}`, { cause: thrown })
}

/** Anything that was thrown, as a SpillwayError: what is none becomes the cause of an ENGINE_FAILED. */
export function asSpillwayError(thrown: unknown): SpillwayError {
  if (isSpillwayError(thrown)) return thrown
  return new SpillwayError('ENGINE_FAILED', `${asError(thrown).message}.`, { cause: thrown })
}

/** Any value in a few words; never throws. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 200))
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 200)
  } catch {
    return typeof value === 'bigint' ? `${value}n` : `an ${typeof value} that cannot be shown`
  }
}

// Contracts of synchronous calls: what a context can be asked, what it answers, and how it may say no.
import { type Duration, milliseconds } from './duration.ts'
import { describe, SpillwayError } from './errors.ts'
import { checkOptions, type OptionNames } from './known-options.ts'
import { checkName } from './name.ts'
import type { OutputOf, Schema } from './schema.ts'

/** The ways in which a call may be refused by its owner, each with the schema of what it says of it. */
export type FailureSchemas = Readonly<Record<string, Schema>>

/**
 * A query changes nothing: it may be asked again freely, and nothing is stored. A command changes something: its idempotency key
 * and its answer are stored with what it did, so that asking again with the same key gives the same answer and does nothing twice.
 */
export type CallKind = 'query' | 'command'

export interface CallOptions<
  Ask,
  Asked,
  Answer,
  Answered,
  Failures extends FailureSchemas,
  Kind extends CallKind = CallKind,
> {
  /** Default 'query'. */
  readonly kind?: Kind
  /** Any Standard Schema validator, as for events: it describes the data as JSON carries it. */
  readonly input: Schema<Ask, Asked>
  readonly output: Schema<Answer, Answered>
  /** By name: what the owner may say instead of an answer. */
  readonly errors?: Failures
  /** How long a caller waits who says nothing else, retries included. Default 5 s. */
  readonly deadline?: Duration
  /** From 1. Two versions of a call are two entries of `calls` with the same `name`, answered side by side. Default 1. */
  readonly version?: number
  /** The name of the call where it is not the key of its entry: for a second version. */
  readonly name?: string
}

export interface CallDefinition<
  Ask,
  Asked,
  Answer,
  Answered,
  Failures extends FailureSchemas,
  Kind extends CallKind = CallKind,
> {
  readonly kind: 'call'
  readonly options: CallOptions<Ask, Asked, Answer, Answered, Failures, Kind>
}

/**
 * A call of a context. A caller gives an `Ask`, which its owner receives as `Asked`; the owner gives an `Answer`, which the caller
 * receives as `Answered`.
 */
export interface CallContract<
  Ask = unknown,
  Asked = unknown,
  Answer = unknown,
  Answered = unknown,
  Failures extends FailureSchemas = FailureSchemas,
  Kind extends CallKind = CallKind,
> {
  readonly kind: Kind
  /** `<context>.<name>`. */
  readonly type: string
  /** The context that answers it. */
  readonly context: string
  readonly version: number
  readonly input: Schema<Ask, Asked>
  readonly output: Schema<Answer, Answered>
  readonly errors: Failures
  readonly deadlineMs: number
}

/** A call that a context answers. */
// NoInfer: within context() the errors of a call that declares none would be taken for any.
export function call<
  Ask,
  Asked,
  Answer,
  Answered,
  const Failures extends FailureSchemas = Readonly<Record<never, never>>,
>(
  options: CallOptions<Ask, Asked, Answer, Answered, Failures, 'command'> & { readonly kind: 'command' },
): CallDefinition<Ask, Asked, Answer, Answered, NoInfer<Failures>, 'command'>
export function call<
  Ask,
  Asked,
  Answer,
  Answered,
  const Failures extends FailureSchemas = Readonly<Record<never, never>>,
>(
  options: CallOptions<Ask, Asked, Answer, Answered, Failures, 'query'>,
): CallDefinition<Ask, Asked, Answer, Answered, NoInfer<Failures>, 'query'>
export function call<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
  options: CallOptions<Ask, Asked, Answer, Answered, Failures>,
): CallDefinition<Ask, Asked, Answer, Answered, Failures> {
  return { kind: 'call', options }
}

const callOptions: OptionNames<CallOptions<unknown, unknown, unknown, unknown, FailureSchemas>> = {
  kind: true,
  input: true,
  output: true,
  errors: true,
  deadline: true,
  version: true,
  name: true,
}

/** What every failed call may have for a reason; a declared error has another name. */
export const undeclared = 'error'

const defaultDeadlineMs = 5_000

export function callContract<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
  owner: string,
  key: string,
  options: CallOptions<Ask, Asked, Answer, Answered, Failures>,
): CallContract<Ask, Asked, Answer, Answered, Failures> {
  const type = `${owner}.${checkName(options?.name ?? key, 'call')}`
  checkOptions<object>(`The call ${type}`, options, callOptions)
  const { kind = 'query', input, output, deadline, version = 1, errors = {} as Failures } = options
  if (kind !== 'query' && kind !== 'command')
    throw wrong(type, `the kind ${describe(kind)}; it is 'query' or 'command'`)
  if (!Number.isInteger(version) || version < 1)
    throw wrong(type, `version ${version}; versions are whole numbers from 1`)
  requireSchema(type, 'input', input as Schema)
  requireSchema(type, 'output', output as Schema)
  for (const [name, schema] of Object.entries(errors)) {
    if (checkName(name, 'error') === undeclared)
      throw wrong(type, `an error named ${undeclared}, the name of what is not declared`)
    requireSchema(type, `errors.${name}`, schema)
  }
  const deadlineMs = deadline === undefined ? defaultDeadlineMs : milliseconds(deadline, 'deadline')
  if (deadlineMs <= 0) throw wrong(type, 'a deadline of 0, in which nothing can be answered')
  return { kind, type, context: owner, version, input, output, errors, deadlineMs }
}

function requireSchema(type: string, option: string, schema: Schema | undefined): void {
  if (typeof schema?.['~standard']?.validate !== 'function')
    throw wrong(
      type,
      `no schema: \`${option}\` must be a Standard Schema validator (zod, valibot, arktype), or \`unchecked<T>()\``,
    )
}

function wrong(type: string, what: string): SpillwayError {
  return new SpillwayError('CONFIGURATION', `The call ${type} has ${what}.`)
}

/** What a caller receives of an error that the contract declares. */
export type ReceivedFailure<Failures extends FailureSchemas> = {
  readonly [Name in keyof Failures & string]: {
    readonly status: 'failed'
    readonly reason: Name
    readonly data: OutputOf<Failures[Name]>
    readonly error: SpillwayError
  }
}[keyof Failures & string]

// Contracts of pointer events: type, key and version only. Who hears of one fetches the payload from its owner, by one of the owner's calls.
import type { CallContract, FailureSchemas } from './call-contract.ts'
import { SpillwayError } from './errors.ts'
import { checkOptions, type OptionNames } from './known-options.ts'
import { maxIdLength } from './message.ts'
import type { InputOf, OutputOf, Schema } from './schema.ts'

export interface PointerOptions<
  Key extends string = string,
  Fetch extends string = string,
  Gone extends string = string,
> {
  /** The field that names what changed: of the event, and of the input of `fetch`. It is the key of the event too. */
  readonly key: Key
  /** A query of the same context, by its entry in `calls`. Its input is `{ [key]: string }`. */
  readonly fetch: Fetch
  /** The field of its output that says which version that is, a whole number that rises with every change. Default 'version'. */
  readonly version?: string
  /** Which of its declared errors says that there is nothing any more. Default 'gone'. */
  readonly gone?: Gone
}

export interface PointerDefinition<Key extends string, Fetch extends string, Gone extends string> {
  readonly kind: 'pointer'
  readonly options: PointerOptions<Key, Fetch, Gone>
}

/** What a pointer event carries: all of it. */
export type PointerData<Key extends string> = { readonly [K in Key]: string } & {
  /** The version of what changed: whoever fetches wants at least this one. */
  readonly version: number
}

/** How the payload of a pointer event is fetched. */
export interface Pointer<
  Key extends string = string,
  Fetch extends CallContract = CallContract,
  Gone extends string = string,
> {
  readonly key: Key
  readonly call: Fetch
  /** The field of what was fetched that says its version. */
  readonly version: string
  /** The name of the declared error that says that there is nothing any more. */
  readonly gone: Gone
}

/** What the owner says of a key now: not at the time of the event. */
export type Current<Answered, Gone> =
  | {
      readonly state: 'found'
      /** What the owner's call returned. Shared by all who are given it: objects and arrays in it are frozen. */
      readonly value: Answered
      /** At or above that of the event. */
      readonly version: number
    }
  | ([Gone] extends [never]
      ? never
      : {
          readonly state: 'gone'
          /** What the owner says of that: the data of its declared error. */
          readonly data: Gone
        })

/** What is fetched for the pointers of a call: by its output, and by its declared error that says that there is nothing any more. */
export type FetchedBy<Fetch extends CallContract, Gone extends string> =
  Fetch extends CallContract<infer _Ask, infer _Asked, infer _Answer, infer Answered, infer Failures>
    ? Current<Answered, DataOf<Failures, Gone, 'received'>>
    : never

/** The same as its owner answers it. */
export type AnsweredFor<Fetch extends CallContract, Gone extends string> =
  Fetch extends CallContract<infer _Ask, infer _Asked, infer Answer, infer _Answered, infer Failures>
    ?
        | { readonly state: 'found'; readonly value: Answer }
        | (Gone extends keyof Failures
            ? { readonly state: 'gone'; readonly data: DataOf<Failures, Gone, 'given'> }
            : never)
    : never

type DataOf<
  Failures extends FailureSchemas,
  Gone extends string,
  Side extends 'given' | 'received',
> = Gone extends keyof Failures
  ? Side extends 'given'
    ? InputOf<Failures[Gone]>
    : OutputOf<Failures[Gone]>
  : never

/** An event without a payload: `pointer({ key: 'orderId', fetch: 'getOrder' })`. */
export function pointer<
  const Key extends string,
  const Fetch extends string,
  const Gone extends string = 'gone',
>(options: PointerOptions<Key, Fetch, Gone>): PointerDefinition<Key, Fetch, Gone> {
  return { kind: 'pointer', options }
}

const pointerOptions: OptionNames<PointerOptions> = { key: true, fetch: true, version: true, gone: true }

/** What makes a pointer of an event; throws CONFIGURATION where the context has no such query. */
export function pointerOf(
  type: string,
  options: PointerOptions,
  calls: Readonly<Record<string, CallContract>>,
): Pointer {
  checkOptions<object>(`The pointer ${type}`, options, pointerOptions)
  const { key, fetch, version = 'version', gone = 'gone' } = options
  if (typeof key !== 'string' || key === '' || key === 'version')
    throw new SpillwayError(
      'CONFIGURATION',
      `The pointer ${type} has no \`key\`: the name of a field, other than version.`,
    )
  const found = Object.hasOwn(calls, fetch) ? calls[fetch] : undefined
  if (found?.kind !== 'query') {
    const what = found ? 'is a command' : 'is no call of its context'
    throw new SpillwayError(
      'CONFIGURATION',
      `The pointer ${type} is fetched by ${fetch}, which ${what}; \`fetch\` names a query of the same context.`,
    )
  }
  return { key, call: found, version, gone }
}

/** The schema of what a pointer event carries. */
export function pointerSchema<Key extends string>(key: Key): Schema<PointerData<Key>> {
  const validate = (value: unknown) => {
    const { [key]: name, version, ...more } = (value ?? {}) as Readonly<Record<string, unknown>>
    const issues: { readonly path: string[]; readonly message: string }[] = []
    if (typeof name !== 'string' || name === '' || name.length > maxIdLength)
      issues.push({ path: [key], message: `must be a text of 1 to ${maxIdLength} characters` })
    if (!Number.isSafeInteger(version) || (version as number) < 0)
      issues.push({ path: ['version'], message: 'must be a whole number from 0' })
    for (const path of Object.keys(more))
      issues.push({ path: [path], message: 'a pointer carries its key and version only' })
    return issues.length > 0 ? { issues } : { value: value as PointerData<Key> }
  }
  return { '~standard': { version: 1, vendor: 'spillway', validate } }
}

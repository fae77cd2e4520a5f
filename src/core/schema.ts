// Checking data against any Standard Schema validator (zod, valibot, arktype, or one written by hand).
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { asError, SpillwayError } from './errors.ts'

export type Schema<In = unknown, Out = In> = StandardSchemaV1<In, Out>

/** What a sender may give. */
export type InputOf<S extends Schema> = StandardSchemaV1.InferInput<S>
/** What a handler receives. */
export type OutputOf<S extends Schema> = StandardSchemaV1.InferOutput<S>

/** One problem: `path` is written as in JavaScript, `lines[2].price`; empty for the value itself. */
export interface Problem {
  readonly path: string
  readonly message: string
}

export type Checked<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** A schema that accepts every value and only carries a type: `data: unchecked<Email>()`. */
export function unchecked<T>(): Schema<T, T> {
  return { '~standard': { version: 1, vendor: 'spillway', validate: (value) => ({ value: value as T }) } }
}

/**
 * Checks a value. Answers at once when the validator is synchronous, so that the common case costs no promise. Never
 * throws or rejects: a validator that does has found a problem.
 */
export function check<Out>(
  schema: Schema<unknown, Out>,
  value: unknown,
): Checked<Out> | Promise<Checked<Out>> {
  try {
    const result = schema['~standard'].validate(value)
    return 'then' in result ? Promise.resolve(result).then(toChecked, broken) : toChecked(result)
  } catch (thrown) {
    return broken(thrown)
  }
}

function broken(thrown: unknown): { readonly ok: false; readonly problems: readonly Problem[] } {
  return { ok: false, problems: [{ path: '', message: `the validator threw: ${asError(thrown).message}` }] }
}

function toChecked<Out>(result: StandardSchemaV1.Result<Out>): Checked<Out> {
  if (result.issues === undefined) return { ok: true, value: result.value }
  return {
    ok: false,
    problems: result.issues.map((issue) => ({ path: writePath(issue.path), message: issue.message })),
  }
}

function writePath(path: StandardSchemaV1.Issue['path']): string {
  let text = ''
  for (const part of path ?? []) {
    const key = typeof part === 'object' ? part.key : part
    if (typeof key === 'number') text += `[${key}]`
    else text += text === '' ? String(key) : `.${String(key)}`
  }
  return text
}

/** The problems as the end of a sentence. */
export function listProblems(problems: readonly Problem[]): string {
  const shown = problems.slice(0, 10).map((problem) => `${problem.path || 'the value'}: ${problem.message}`)
  if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`)
  return shown.join('; ')
}

/** The error for data that was refused where it entered. */
export function invalidData(what: string, problems: readonly Problem[]): SpillwayError {
  return new SpillwayError(
    'INVALID_DATA',
    `${what} does not satisfy its schema: ${listProblems(problems)}.`,
    {
      details: { issues: problems },
    },
  )
}

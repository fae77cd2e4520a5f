// What the result of a call means for whoever waits for a payload.
import { describe, type ErrorCode, SpillwayError } from '../core/errors.ts'
import type { Pointer } from '../core/pointer-contract.ts'
import type { Result } from './owner.ts'

export type Answer =
  | { readonly kind: 'found'; readonly value: unknown; readonly version: number }
  | { readonly kind: 'gone'; readonly data: unknown }
  /** The owner answered, and will never have this one: a matter of the event. */
  | { readonly kind: 'refused'; readonly error: SpillwayError }
  /** No answer, or none that says anything of the key. */
  | { readonly kind: 'away'; readonly error: SpillwayError }

/** Failures that are about the input or its answer, not about who was asked. */
const ownMatters: ReadonlySet<ErrorCode> = new Set(['INVALID_DATA', 'INVALID_ANSWER', 'TOO_LARGE'])

export function answerOf(pointer: Pointer, result: Result | undefined): Answer {
  if (result === undefined)
    return { kind: 'away', error: new SpillwayError('INTERNAL', 'An input had no answer.') }
  if (result.status === 'ok') return foundIn(pointer, result.value)
  if (result.status === 'unknown') return { kind: 'away', error: result.error }
  const { reason, data, error } = result
  if (reason === pointer.gone) return { kind: 'gone', data }
  if (reason !== 'error') return { kind: 'refused', error }
  return { kind: ownMatters.has(error.code) ? 'refused' : 'away', error }
}

function foundIn({ call, version: field }: Pointer, value: unknown): Answer {
  const version = fieldOf(value, field)
  if (Number.isSafeInteger(version))
    return { kind: 'found', value: frozen(value), version: version as number }
  const what = `What ${call.type} answered has no version: its field ${field} is ${describe(version)}, where a whole number belongs.`
  return { kind: 'refused', error: new SpillwayError('INVALID_ANSWER', what) }
}

/** Of the version that is gone, where its owner tells it. */
export function versionOfGone(pointer: Pointer, data: unknown): number | undefined {
  const version = fieldOf(data, pointer.version)
  return Number.isSafeInteger(version) ? (version as number) : undefined
}

function fieldOf(value: unknown, field: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[field]
    : undefined
}

/** Several handlers are given the same: what one of them does to it must not reach the others. */
function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  const prototype = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return value
  Object.freeze(value)
  for (const part of Object.values(value)) frozen(part)
  return value
}

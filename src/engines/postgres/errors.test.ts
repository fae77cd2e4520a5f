import { expect, test } from 'vitest'
import { isConflict, translate } from './errors.ts'

function native(code: string | undefined, message = 'native words'): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}

test.each([
  ['08006', 'ENGINE_UNAVAILABLE', true],
  ['57P01', 'ENGINE_UNAVAILABLE', true],
  ['57P03', 'ENGINE_UNAVAILABLE', true],
  ['57014', 'ENGINE_UNAVAILABLE', true],
  ['53300', 'ENGINE_UNAVAILABLE', true],
  ['53100', 'STORE_FULL', true],
  ['28P01', 'ENGINE_UNAVAILABLE', false],
  ['3D000', 'ENGINE_UNAVAILABLE', false],
  ['25006', 'ENGINE_UNAVAILABLE', true],
  ['25P03', 'ENGINE_UNAVAILABLE', true],
  ['25P04', 'ENGINE_UNAVAILABLE', true],
  ['55P03', 'ENGINE_UNAVAILABLE', true],
  ['40P01', 'ENGINE_FAILED', true],
  ['XX001', 'STORE_CORRUPT', false],
  ['42P01', 'ENGINE_FAILED', false],
  ['ECONNREFUSED', 'ENGINE_UNAVAILABLE', true],
  ['ECONNRESET', 'ENGINE_UNAVAILABLE', true],
  [undefined, 'ENGINE_UNAVAILABLE', true],
] as const)('%s is %s', (code, expected, retryable) => {
  const cause = native(code)
  const error = translate(cause)
  expect(error).toMatchObject({ code: expected, retryable, engine: 'postgres', cause })
  expect(error.message).toContain('native words')
})

test('a connection refused on several addresses tells all reasons', () => {
  const error = translate(new AggregateError([native('ECONNREFUSED', 'one'), native('ECONNREFUSED', 'two')]))
  expect(error.message).toContain('one, two')
})

test('an error of the operating system is none of the server, whatever its code looks like', () => {
  const cause = Object.assign(native('EPIPE'), { errno: -32, syscall: 'write' })
  expect(translate(cause)).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true, cause })
})

test('what is translated already stays as it is', () => {
  const error = translate(native('53100'))
  expect(translate(error)).toBe(error)
})

test('deadlocks and serialization failures are conflicts, nothing else is', () => {
  expect(['40001', '40P01', '40002', '57014', undefined].map((code) => isConflict(native(code)))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ])
})

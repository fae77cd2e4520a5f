import { expect, expectTypeOf, test } from 'vitest'
import {
  asError,
  asSpillwayError,
  type CodeEntry,
  errorCodes,
  isSpillwayError,
  SpillwayError,
} from './errors.ts'

test('every code has its row, in whole sentences', () => {
  expectTypeOf(errorCodes).toExtend<Readonly<Record<string, CodeEntry>>>()
  for (const { meaning, remedy } of Object.values(errorCodes)) {
    expect(meaning).toMatch(/^[A-Z].*\.$/)
    expect(remedy).toMatch(/\.$/)
  }
})

test('the message says what happened, what to do, and the code; the cause is kept', () => {
  const cause = new Error('native')
  const error = new SpillwayError('STORE_FULL', 'data/spillway.db cannot grow.', { engine: 'sqlite', cause })
  expect(error.message).toBe(`data/spillway.db cannot grow. ${errorCodes.STORE_FULL.remedy} [STORE_FULL]`)
  expect(error).toMatchObject({ code: 'STORE_FULL', retryable: true, engine: 'sqlite', cause })
})

test('an error of another copy of the package is recognised', () => {
  const foreign = Object.assign(new Error('x'), { [Symbol.for('spillway.error')]: true, code: 'CLOSED' })
  expect(isSpillwayError(foreign, 'CLOSED')).toBe(true)
  expect(isSpillwayError(foreign, 'ABORTED')).toBe(false)
  expect(isSpillwayError(new SpillwayError('CLOSED', 'It is closed.'))).toBe(true)
  for (const other of [new Error('x'), 'x', null, undefined, {}]) expect(isSpillwayError(other)).toBe(false)
})

test.each(['text', undefined, null, 7, { a: 1n }, Symbol('s')])(
  '%s becomes an error when it is thrown',
  (thrown) => {
    expect(asError(thrown).message).toMatch(/no Error was thrown/)
    expect(asSpillwayError(thrown)).toMatchObject({ code: 'ENGINE_FAILED' })
  },
)

test('what refuses to be read becomes an error too', () => {
  const trap = () => {
    throw new Error('trap')
  }
  const odd = [
    Object.assign(new Error('x'), { message: Symbol('x') }),
    Object.defineProperty(new Error('x'), 'message', { get: trap }),
    new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap }),
  ]
  for (const thrown of odd) {
    expect(asError(thrown).message).toMatch(/no Error was thrown/)
    expect(isSpillwayError(thrown)).toBe(false)
  }
})

test('no message speaks of itself', () => {
  for (const { remedy } of Object.values(errorCodes))
    expect(remedy).not.toMatch(/[Tt]he message (names|says)/)
})

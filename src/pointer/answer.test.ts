// Which results are about the event, which about who was asked.
import { expect, test } from 'vitest'
import { call } from '../core/call-contract.ts'
import { context } from '../core/contract.ts'
import { type ErrorCode, SpillwayError } from '../core/errors.ts'
import { pointer } from '../core/pointer-contract.ts'
import { unchecked } from '../core/schema.ts'
import { answerOf, versionOfGone } from './answer.ts'
import type { Result } from './owner.ts'

const { changed } = context('orders', {
  events: { changed: pointer({ key: 'orderId', fetch: 'getOrder', version: 'revision', gone: 'deleted' }) },
  calls: { getOrder: call({ input: unchecked<{ orderId: string }>(), output: unchecked<object>() }) },
}).events

const because = (code: ErrorCode) => new SpillwayError(code, 'It was so.')
const failed = (reason: string, code: ErrorCode = 'CALL_FAILED', data: unknown = undefined) =>
  ({ status: 'failed', reason, data, error: because(code) }) satisfies Result

test.each<[string, Result | undefined, object]>([
  [
    'a state',
    { status: 'ok', value: { revision: 3 } },
    { kind: 'found', version: 3, value: { revision: 3 } },
  ],
  [
    'no version',
    { status: 'ok', value: { version: 3 } },
    { kind: 'refused', error: { code: 'INVALID_ANSWER' } },
  ],
  ['no object', { status: 'ok', value: null }, { kind: 'refused', error: { code: 'INVALID_ANSWER' } }],
  ['gone', failed('deleted', 'CALL_FAILED', { revision: 4 }), { kind: 'gone', data: { revision: 4 } }],
  ['another declared error', failed('gone'), { kind: 'refused', error: { code: 'CALL_FAILED' } }],
  ['input that is refused', failed('error', 'INVALID_DATA'), { kind: 'refused' }],
  ['an answer against the contract', failed('error', 'INVALID_ANSWER'), { kind: 'refused' }],
  ['wrong credentials', failed('error', 'NOT_ACCEPTED'), { kind: 'away' }],
  ['a call that is not yet deployed', failed('error', 'UNKNOWN_CALL'), { kind: 'away' }],
  ['an answer that threw', failed('error', 'ANSWER_FAILED'), { kind: 'away' }],
  ['an open breaker', failed('error', 'BREAKER_OPEN'), { kind: 'away' }],
  [
    'no answer',
    { status: 'unknown', key: undefined, error: because('NO_ANSWER'), again: async () => failed('error') },
    { kind: 'away' },
  ],
  ['nothing for an input', undefined, { kind: 'away', error: { code: 'INTERNAL' } }],
])('%s', (_, result, answer) => {
  expect(answerOf(changed.pointer, result)).toMatchObject(answer)
})

test('the version of what is gone is told by the same field', () => {
  expect(versionOfGone(changed.pointer, { revision: 4 })).toBe(4)
  for (const data of [undefined, {}, { revision: '4' }, { version: 4 }])
    expect(versionOfGone(changed.pointer, data)).toBeUndefined()
})

test('what one handler does to a payload does not reach the others', () => {
  const value = { revision: 1, lines: [{ product: 'cup' }], at: new Date(0) }
  expect(answerOf(changed.pointer, { status: 'ok', value }).kind).toBe('found')
  expect(() => value.lines.push({ product: 'mug' })).toThrow(TypeError)
  expect(() => {
    value.lines[0]!.product = 'mug'
  }).toThrow(TypeError)
})

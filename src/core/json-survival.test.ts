// A schema that asks for what JSON cannot carry is told at the first send, not by dead letters.
import { expect, test } from 'vitest'
import { z } from 'zod'
import { queueContract } from './contract.ts'
import { seal } from './envelope.ts'

test('a schema of a Date refuses the first message; one of its text takes it', () => {
  const dated = queueContract('dated', { data: z.object({ at: z.date() }) })
  const send = () => seal(dated, { at: new Date(0) }, {})
  expect(send).toThrow(/as JSON carries it.*at: .*INVALID_DATA/s)
  expect(send).toThrow('INVALID_DATA')
  const coerced = queueContract('coerced', { data: z.object({ at: z.coerce.date() }) })
  expect(seal(coerced, { at: new Date(0) }, {})).toMatchObject({ id: expect.any(String) })
})

test('an asynchronous schema as well', async () => {
  const at = z.unknown().refine(async (value) => value instanceof Date, 'is no Date')
  const dated = queueContract('slow', { data: z.object({ at }) })
  await expect(seal(dated, { at: new Date(0) }, {})).rejects.toMatchObject({
    code: 'INVALID_DATA',
    details: { issues: [{ path: 'at', message: 'is no Date' }] },
  })
})

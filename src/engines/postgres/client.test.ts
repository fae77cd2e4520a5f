import pg from 'pg'
import { expect, expectTypeOf, test } from 'vitest'
import { type PgPool, type PgQueryable, redact } from './client.ts'

test('the library itself fits the structural types', () => {
  expectTypeOf<pg.Pool>().toExtend<PgPool>()
  expectTypeOf<PgQueryable['query']>().toBeCallableWith('select 1', [1])
  expect(new pg.Pool()).toBeDefined()
})

test.each([
  ['postgres://user:secret@host:5432/db?sslmode=require', 'postgres://user@host:5432/db'],
  ['postgresql://host/db', 'postgresql://host/db'],
  ['postgres://user@host/db?password=secret', 'postgres://user@host/db'],
])('%s is shown as %s', (url, shown) => {
  expect(redact(url)).toBe(shown)
})

test.each(['mysql://user:secret@host/db', 'postgres://user:sec#ret@host/db', 'secret', ''])(
  '%s is refused, and not repeated',
  (url) => {
    let message = ''
    try {
      redact(url)
    } catch (error) {
      message = String(error) + JSON.stringify(error)
    }
    expect(message).toContain('INVALID_OPTION')
    expect(message).not.toMatch(/sec/)
  },
)

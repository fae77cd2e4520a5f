import pg from 'pg'
import { expect, expectTypeOf, test } from 'vitest'
import type { PgPool, PgQueryable } from './client.ts'

test('the library itself fits the structural types', () => {
  expectTypeOf<pg.Pool>().toExtend<PgPool>()
  expectTypeOf<PgQueryable['query']>().toBeCallableWith('select 1', [1])
  expect(new pg.Pool()).toBeDefined()
})

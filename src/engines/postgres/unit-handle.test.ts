import { describe, expect, test } from 'vitest'
import type { PgSession } from './client.ts'
import { UnitHandle } from './unit-handle.ts'

function handle(): { readonly handle: UnitHandle; readonly ran: unknown[] } {
  const ran: unknown[] = []
  const session = {
    async query(query: unknown) {
      ran.push(query)
      return { rows: [], rowCount: 0 }
    },
    release() {},
  } satisfies PgSession
  return { handle: new UnitHandle(session), ran }
}

describe('what ends a transaction is refused, and the unit with it', () => {
  for (const text of [
    'begin',
    'COMMIT',
    ' \n commit and chain',
    'End;',
    'rollback',
    'ROLLBACK TRANSACTION',
    'abort',
    'start transaction isolation level serializable',
    "prepare transaction 'x'",
    '-- a comment\ncommit',
    '/* one */ ; /* two\n*/ rollback work',
  ])
    test(JSON.stringify(text), async () => {
      const { handle: unit, ran } = handle()
      await expect(unit.query(text)).rejects.toMatchObject({ code: 'COMMIT_TWICE' })
      await expect(unit.query({ text: 'select 1' })).rejects.toMatchObject({ code: 'COMMIT_TWICE' })
      expect(ran).toEqual([])
    })
})

describe('everything else passes', () => {
  for (const text of [
    'savepoint a',
    'rollback to savepoint a',
    'rollback work to a',
    'ROLLBACK TRANSACTION TO SAVEPOINT a',
    'release savepoint a',
    'prepare p as select 1',
    'select 1 -- commit',
    'insert into commits values (1)',
    'beginning',
    'end_of_day()',
  ])
    test(text, async () => {
      const { handle: unit, ran } = handle()
      await unit.query(text)
      expect(ran).toEqual([text])
      expect(unit.refusal).toBeUndefined()
    })
})

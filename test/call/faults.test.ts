// No call's work happens twice, no unknown stays unknown, and what failed did nothing: through faults of the network, on real sockets. Then with faults
// planted in the caller and in the owner, each of which must be found.
import { expect, test } from 'vitest'
import type { CallClient } from '../../src/call/client/client.ts'
import type { Database, DatabaseSource } from '../../src/ports/database.ts'
import { faultyShop } from './faulty-shop.ts'
import { type Mutant, planted } from './planted.ts'

test.each([1, 2])('seed %i: every promise is kept', { timeout: 60_000 }, async (seed) => {
  expect(await faultyShop({ seed })).toEqual([])
})

const mutants: readonly (Mutant & { readonly expected: RegExp })[] = [
  {
    name: 'asking again takes another key',
    file: 'client.ts',
    find: 'if (key !== undefined) headers[header.key] = key',
    replace: 'if (key !== undefined) headers[header.key] = newId(this.#clock)',
    expected: /was done twice/,
  },
  {
    name: 'what left and was not answered counts as failed',
    file: 'judge.ts',
    find: 'if (!left) {',
    replace: 'if (left || !left) {',
    expected: /failed with error and was done/,
  },
  {
    name: 'a refusal of a later attempt makes the first certain',
    file: 'target.ts',
    find: "if (judgement.kind === 'unknown' && outgoing.keyMadeMs !== undefined) mayHaveLeft = judgement.error",
    replace: '',
    expected: /failed with error and was done/,
  },
]

test.each(mutants)('found: $name', { timeout: 60_000 }, async (mutant) => {
  const files = ['client.ts', 'target.ts', 'reading.ts', 'judge.ts']
  const { CallClient: Client } = (await planted(mutant, files, 'src/call/client')) as {
    CallClient: typeof CallClient
  }
  expect((await faultyShop({ seed: 1, Client })).join('\n')).toMatch(mutant.expected)
})

/** What is stored with the effects is stored after them instead, and every third time the process would have died between the two. */
function storedApart<Db>(source: DatabaseSource<Db>): DatabaseSource<Db> {
  let commits = 0
  return {
    async open(name) {
      const database = await source.open(name)
      const commit: Database<Db>['commit'] = async ({ inbox, ...unit }) => {
        const outcome = await database.commit(unit)
        commits += 1
        if (inbox && commits % 3 > 0) await database.commit({ inbox, outbox: [], timeoutMs: unit.timeoutMs })
        return outcome
      }
      return new Proxy(database, {
        get(target, name) {
          if (name === 'commit') return commit
          const found = Reflect.get(target, name, target)
          return typeof found === 'function' ? found.bind(target) : found
        },
      })
    },
  }
}

test('found: the answer is stored outside of the transaction', { timeout: 60_000 }, async () => {
  expect((await faultyShop({ seed: 1, spoil: storedApart })).join('\n')).toMatch(/was done twice/)
})

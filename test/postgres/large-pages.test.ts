// Looking at a queue has bounded answers, however large its messages; and a rate outlives a clock that is set back.
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { looking, onServers } from './on-servers.ts'

const size = 700_000

await onServers('looking at large messages', {}, (server) => {
  test.each([
    ['without rules', {}],
    ['with rules', { priority: true }],
  ])(
    'a page of messages or dead letters ends by its bytes, and the next one goes on behind it: %s',
    async (name, rules) => {
      const engine = await postgres({ url: server().url })
      const queue = engine.queue!
      await queue.declare([name], rules)
      const body = 'x'.repeat(size)
      const ids = Array.from({ length: 30 }, (_, index) => `m${index}`)
      await queue.send(
        name,
        ids.map((id) => ({ id, body })),
      )
      async function pages(look: (after: string | undefined) => Promise<{ handle: string; id: string }[]>) {
        const found: string[][] = []
        for (let after: string | undefined; ; ) {
          const page = await look(after)
          if (page.length === 0) return found
          found.push(page.map(({ id }) => id))
          after = page.at(-1)!.handle
        }
      }
      const seen = await pages((after) => queue.peek(name, { limit: 1_000, after }))
      expect(seen.flat()).toEqual(ids)
      expect(seen.map((page) => page.length)).toEqual([12, 12, 6])
      const claimed = await queue.claim(name, { limit: 30, leaseMs: 60_000, waitMs: 0 })
      await queue.settle(
        name,
        claimed.map(({ lease }) => ({ lease, kind: 'dead-letter' as const, reason: 'for the test' })),
      )
      const dead = await pages((after) =>
        queue.deadLetters(name, { limit: 1_000, ...(after === undefined ? {} : { after }) }),
      )
      expect(dead.flat().sort()).toEqual([...ids].sort())
      expect(dead.map((page) => page.length)).toEqual([12, 12, 6])
      await engine.close()
    },
  )

  test('a rate goes on when the clock of the server was set back', async () => {
    const engine = await postgres({ url: server().url, schema: 'clock' })
    const pool = looking(server().url)
    const queue = engine.queue!
    await queue.declare(['q'], { rate: { count: 1, perMs: 200 } })
    await queue.send('q', [
      { id: 'a', body: '{}' },
      { id: 'b', body: '{}' },
    ])
    const claim = () => queue.claim('q', { limit: 2, leaseMs: 60_000, waitMs: 10_000 })
    expect((await claim()).length).toBe(1)
    // Seen from a clock that was set back, what was counted was counted later than now.
    await pool.query(`update clock.pace set counted_at = counted_at + interval '1 hour'`)
    expect((await claim()).length).toBe(1)
    await pool.end()
    await engine.close()
  })
})

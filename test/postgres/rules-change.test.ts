// Rules that come and go while other processes use the queue by what they know of it: nothing is lost, and nothing passes by them.
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import type { QueueRules } from '../../src/ports/queue-rules.ts'
import { looking, onServers } from './on-servers.ts'

await onServers('changing rules', {}, (server) => {
  test('what was sent and claimed by former rules is handled under the new ones, each once', async () => {
    const { url } = server()
    const [one, two] = await Promise.all([postgres({ url }), postgres({ url })])
    await one.queue!.declare(['q'])
    const handled: string[] = []
    let sent = 0
    let changing = true
    const sending = async (sender: number) => {
      for (; changing; sent += 3)
        await (sender % 2 ? one : two).queue!.send(
          'q',
          [0, 1, 2].map((index) => ({ id: `${sent + index} ${sender}`, body: '{}' })),
        )
    }
    const consuming = async (consumer: number) => {
      const queue = (consumer % 2 ? one : two).queue!
      for (;;) {
        const batch = await queue.claim('q', { limit: 5, leaseMs: 60_000, waitMs: 300 })
        if (batch.length === 0 && !changing) return
        const ends = batch.map(({ lease }) => ({ lease, kind: 'done' as const }))
        for (const result of await queue.settle('q', ends)) expect(result).toBe('settled')
        handled.push(...batch.map(({ id }) => id))
      }
    }
    const working = [sending(0), sending(1), consuming(0), consuming(1)]
    const rules: QueueRules[] = [
      { priority: true },
      { groups: { concurrency: 7 } },
      {},
      { concurrency: 9 },
      {},
    ]
    for (let change = 0; change < 40; change++) {
      await (change % 2 ? one : two).queue!.declare(['q'], rules[change % rules.length])
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    changing = false
    await Promise.all(working)
    expect(new Set(handled).size).toBe(handled.length)
    expect(handled.length).toBe(sent)
    expect(sent).toBeGreaterThan(100)
    await Promise.all([one.close(), two.close()])
  }, 60_000)

  test('a queue whose rules are gone is one without rules as soon as nothing is left of them', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const queue = engine.queue!
    await queue.declare(['gone'], { priority: true })
    await queue.send('gone', [{ id: 'a', body: '{}', priority: 5 }])
    await queue.declare(['gone'], {})
    const [a] = await queue.claim('gone', { limit: 5, leaseMs: 60_000, waitMs: 0 })
    await queue.settle('gone', [{ lease: a!.lease, kind: 'done' }])
    await queue.declare(['gone'], { concurrency: 1 })
    await queue.declare(['gone'], {})
    const pool = looking(url)
    const { rows } = await pool.query("select rules from spillway.queue where name = 'gone'")
    expect(rows).toEqual([{ rules: null }])
    await Promise.all([engine.close(), pool.end()])
  })
})

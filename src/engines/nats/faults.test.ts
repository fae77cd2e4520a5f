// Servers that die and come back, and answers that are lost: on real servers, behind a relay that can be told to misbehave.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nats as current, packagedNats, type RunningServer } from '../../../test/servers/index.ts'
import { NetworkProxy } from '../../../test/servers/proxy.ts'
import type { Engine } from '../../ports/engine.ts'
import type { ClaimedMessage } from '../../ports/queue.ts'
import { nats } from './engine.ts'

/** Stands before the server. */
class Relay {
  readonly port: number
  target = 0
  /** Swallows what the server says, and cuts the connection, the next so many times that it acknowledges a publish. */
  loseAnswers = 0
  lost = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(listening: Server) {
    this.#server = listening
    this.port = (listening.address() as { port: number }).port
    listening.on('connection', (socket) => this.#serve(socket))
  }

  static async start(): Promise<Relay> {
    const listening = createServer()
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    return new Relay(listening)
  }

  #serve(near: Socket): void {
    const far = connect(this.target, '127.0.0.1')
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        near.destroy()
        far.destroy()
        this.#sockets.delete(socket)
      })
    }
    near.on('data', (bytes) => far.write(bytes))
    far.on('data', (bytes) => {
      if (this.loseAnswers > 0 && bytes.includes('"seq":')) {
        this.loseAnswers--
        this.lost++
        near.destroy()
      } else near.write(bytes)
    })
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

let names = 0
const fresh = () => `faults-test-${++names}`
const much = { maxRecords: 5_000, maxBytes: 1e8, waitMs: 3_000 }
const claim = { limit: 100, leaseMs: 30_000, waitMs: 20_000 }
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

for (const launcher of [current, packagedNats]) {
  const missing = await launcher.missing()
  describe.skipIf(missing)(launcher.name, () => {
    let server: RunningServer
    let relay: Relay
    let engine: Engine
    let other: Engine

    beforeAll(async () => {
      relay = await Relay.start()
      server = await launcher.start()
      relay.target = Number(new URL(server.url).port)
      engine = await nats({ url: `nats://127.0.0.1:${relay.port}`, timeoutMs: 20_000 })
      other = await nats({ url: server.url, timeoutMs: 20_000 })
    })
    afterAll(async () => {
      await Promise.all([engine?.close(), other?.close()])
      await relay?.close()
      await server?.stop()
    })

    async function bodies(name: string, count: number): Promise<string[]> {
      const found: string[] = []
      for (let position = 0; found.length < count; ) {
        const records = await other.stream!.read(name, [{ partition: 0, position }], much)
        if (records.length === 0) break
        found.push(...records.map(({ body }) => body))
        position = records.at(-1)!.position + 1
      }
      const end = await other.stream!.bounds(name)
      const rest = { partition: 0, position: end[0]!.next }
      expect(await other.stream!.read(name, [rest], { ...much, waitMs: 0 })).toEqual([])
      return found
    }

    test('sends and appends wait for a server that comes back', { timeout: 60_000 }, async () => {
      const name = fresh()
      await engine.queue!.declare([name])
      await engine.stream!.declare({ name, partitions: 1 })
      await server.kill()
      const sending = engine.queue!.send(name, [{ id: 'waited', body: '1' }])
      const appending = engine.stream!.append(name, [{ partition: 0, body: '1' }])
      await server.restart()
      await Promise.all([sending, appending])
      expect(await bodies(name, 1)).toEqual(['1'])
      const [message] = await other.queue!.claim(name, claim)
      expect(message?.id).toBe('waited')
    })

    test('they fail clearly when it does not come back in time', { timeout: 60_000 }, async () => {
      const hasty = await nats({ url: server.url, timeoutMs: 700 })
      const name = fresh()
      await hasty.queue!.declare([name])
      await hasty.stream!.declare({ name, partitions: 1 })
      await server.kill()
      const start = performance.now()
      const calls = await Promise.allSettled([
        hasty.queue!.send(name, [{ id: 'late', body: '1' }]),
        hasty.stream!.append(name, [{ partition: 0, body: '1' }]),
        hasty.queue!.count(name),
        hasty.queue!.claim(name, claim),
      ])
      expect(performance.now() - start).toBeLessThan(4_000)
      for (const call of calls)
        expect(call).toMatchObject({
          reason: { code: 'ENGINE_UNAVAILABLE', retryable: true, engine: 'nats' },
        })
      await server.restart()
      await expect.poll(() => hasty.queue!.count(name).catch(() => undefined)).toMatchObject({ ready: 0 })
      await hasty.close()
    })

    test('waiting claims and reads go on after a restart', { timeout: 60_000 }, async () => {
      const name = fresh()
      await engine.queue!.declare([name])
      await engine.stream!.declare({ name, partitions: 1 })
      const claiming = engine.queue!.claim(name, claim)
      const reading = engine.stream!.read(name, [{ partition: 0, position: 0 }], { ...much, waitMs: 20_000 })
      await server.kill()
      await server.restart()
      await other.queue!.send(name, [{ id: 'after', body: '1' }])
      await other.stream!.append(name, [{ partition: 0, body: '2' }])
      expect((await claiming).map(({ id }) => id)).toEqual(['after'])
      expect((await reading).map(({ body }) => body)).toEqual(['2'])
    })

    test('a reader that was in the middle goes on where it was', { timeout: 60_000 }, async () => {
      const name = fresh()
      await engine.stream!.declare({ name, partitions: 1 })
      const found: string[] = []
      let position = 0
      for (const round of numbers(3)) {
        await other.stream!.append(
          name,
          numbers(1_000).map((index) => ({ partition: 0, body: `${round}-${index}` })),
        )
        while (found.length < 1_000 * round + 700) {
          const from = [{ partition: 0, position }]
          const records = await engine.stream!.read(name, from, { ...much, maxRecords: 100 })
          found.push(...records.map(({ body }) => body))
          position = records.at(-1)!.position + 1
        }
        await server.kill()
        await server.restart()
      }
      expect(found).toEqual(found.toSorted((a, b) => order(a) - order(b)))
      expect(new Set(found).size).toBe(found.length)
    })

    test('a member loses its partitions to an outage, and has them again after it', {
      timeout: 60_000,
    }, async () => {
      const name = fresh()
      await engine.stream!.declare({ name, partitions: 2 })
      const held = new Set<number>()
      const lost: number[] = []
      const failures: Error[] = []
      const membership = await engine.stream!.join(name, 'group', {
        sessionMs: 1_500,
        assigned: (partitions) => {
          for (const { partition } of partitions) held.add(partition)
        },
        async revoked(partitions, gone) {
          for (const partition of partitions) {
            held.delete(partition)
            if (gone) lost.push(partition)
          }
        },
        failed: (error) => failures.push(error),
      })
      await expect.poll(() => held.size).toBe(2)
      expect(await membership.commit([{ partition: 0, position: 7 }])).toEqual(['committed'])
      await server.kill()
      await expect.poll(() => lost.length, { timeout: 10_000 }).toBe(2)
      await server.restart()
      await expect.poll(() => held.size, { timeout: 20_000 }).toBe(2)
      expect(await membership.commit([{ partition: 1, position: 9 }])).toEqual(['committed'])
      const committed = await other.stream!.committed(name, 'group')
      expect(committed.map(({ position }) => position)).toEqual([7, 9])
      expect(failures).toEqual([])
      await membership.leave()
    })

    test('appends whose answers are lost are stored once, and in order', { timeout: 60_000 }, async () => {
      const name = fresh()
      await engine.stream!.declare({ name, partitions: 1 })
      relay.lost = 0
      relay.loseAnswers = 3
      for (const call of numbers(12)) await engine.stream!.append(name, [{ partition: 0, body: `${call}` }])
      expect(relay.lost).toBe(3)
      expect(await bodies(name, 12)).toEqual(numbers(12).map(String))
    })

    test('an append whose time is not over outlives those that went with it', {
      timeout: 60_000,
    }, async () => {
      const proxy = await NetworkProxy.start()
      proxy.target = Number(new URL(server.url).port)
      const slow = await nats({ url: `nats://127.0.0.1:${proxy.port}`, timeoutMs: 3_000 })
      try {
        const name = fresh()
        await slow.stream!.declare({ name, partitions: 1 })
        const append = (body: string) => slow.stream!.append(name, [{ partition: 0, body }])
        await append('before')
        const frozen = proxy.freeze(3_800)
        // The first is under way alone; the next two wait for it, and go together when it is given up.
        const first = append('first')
        await pause(100)
        const early = append('early')
        await pause(1_900)
        const late = append('late')
        const unknown = { code: 'ENGINE_UNAVAILABLE', message: expect.stringContaining('is unknown') }
        await Promise.all([
          expect(first).rejects.toMatchObject(unknown),
          expect(early).rejects.toMatchObject(unknown),
        ])
        proxy.delayMs = 20
        await frozen
        expect(await late).toMatchObject({ status: 'appended' })
      } finally {
        await slow.close()
        await proxy.close()
      }
    })

    test('bounds are told whatever is left of the time for them', { timeout: 60_000 }, async () => {
      const name = fresh()
      await other.stream!.declare({ name, partitions: 1 })
      await other.stream!.append(name, [{ partition: 0, body: '1' }])
      // Less than one attempt may take: the server is told a rest, which is no whole number.
      const short = await nats({ url: server.url, timeoutMs: 900 })
      try {
        for (let round = 0; round < 40; round++) {
          const startedAt = performance.now()
          expect(await short.stream!.bounds(name)).toHaveLength(1)
          expect(performance.now() - startedAt).toBeLessThan(900)
        }
      } finally {
        await short.close()
      }
    })

    test('sends whose answers are lost are stored once, alone and together', {
      timeout: 60_000,
    }, async () => {
      const name = fresh()
      await engine.queue!.declare([name])
      // Enough for both ways of storing several to have had their turn.
      for (const round of numbers(4)) {
        relay.loseAnswers = 1
        await engine.queue!.send(name, [{ id: `single${round}`, body: '1' }])
        relay.loseAnswers = 1
        await engine.queue!.send(
          name,
          numbers(80).map((index) => ({ id: `${round}-${index}`, body: '1' })),
        )
      }
      const expected = numbers(4).flatMap((round) => [
        `single${round}`,
        ...numbers(80).map((index) => `${round}-${index}`),
      ])
      const found: string[] = []
      while (found.length < expected.length)
        found.push(...(await other.queue!.claim(name, claim)).map(({ id }) => id))
      expect(found).toEqual(expected)
      expect(await other.queue!.claim(name, { ...claim, waitMs: 0 })).toEqual([])
    })

    test('what comes slowly is claimed once, and in order: in one claim, and in claims that end before it has come', {
      timeout: 60_000,
    }, async () => {
      const proxy = await NetworkProxy.start()
      proxy.target = Number(new URL(server.url).port)
      const slow = await nats({ url: `nats://127.0.0.1:${proxy.port}`, timeoutMs: 20_000 })
      try {
        for (const busyMs of [70, 300]) {
          const name = fresh()
          await slow.queue!.declare([name])
          const sent = numbers(1_000).map((index) => ({ id: `${index}`, body: '1'.repeat(400) }))
          await other.queue!.send(name, sent)
          proxy.busyMs = busyMs
          const claims: ClaimedMessage[][] = []
          for (let left = sent.length; left > 0; left -= claims.at(-1)!.length)
            claims.push(await slow.queue!.claim(name, { ...claim, limit: left }))
          proxy.busyMs = 0
          expect(claims.flat().map(({ id, starts }) => [id, starts])).toEqual(sent.map(({ id }) => [id, 1]))
          if (busyMs === 70) expect(claims).toHaveLength(1)
          else expect(claims.length).toBeGreaterThan(1)
        }
      } finally {
        await slow.close()
        await proxy.close()
      }
    })

    test('what was settled stays settled when the server is killed, or it is told that it does not', {
      timeout: 60_000,
    }, async () => {
      const name = fresh()
      await engine.queue!.declare([name])
      await engine.queue!.send(
        name,
        numbers(90).map((index) => ({ id: `${index}`, body: '1' })),
      )
      const claimed = await engine.queue!.claim(name, claim)
      expect(claimed.length).toBe(90)
      const settlements = claimed.map(({ lease }, index) => {
        if (index < 50) return { lease, kind: 'done' as const }
        return index < 70
          ? { lease, kind: 'retry' as const, delayMs: 600_000 }
          : { lease, kind: 'release' as const }
      })
      await engine.queue!.settle(name, settlements)
      await server.kill()
      await server.restart()
      const again = await other.queue!.claim(name, { ...claim, waitMs: 1_000 })
      const handled = again.filter(({ id }) => Number(id) < 50)
      if (server.version.startsWith('2.9.')) {
        const { weaknesses } = other.durability
        expect(weaknesses.join()).toMatch(/come again that were handled/)
      } else {
        expect(handled).toEqual([])
        // What was given back comes when its lease would have ended, or the server has forgotten that it was ever delivered: then
        // retries are not waited for, and it counts them as they were. None is lost.
        const { ready, delayed, leased, dead } = await other.queue!.count(name)
        expect({ left: ready + delayed + leased, dead }).toEqual({ left: 40, dead: 0 })
      }
    })

    test('what was acknowledged is there after the server was killed, again and again', {
      timeout: 90_000,
    }, async () => {
      const name = fresh()
      await engine.stream!.declare({ name, partitions: 1 })
      await engine.queue!.declare([name])
      let stopped = false
      const sent: string[] = []
      const appended: string[] = []
      const working = [
        (async () => {
          for (let call = 0; !stopped; call++) {
            const id = `m${call}`
            await other.queue!.send(name, [{ id, body: '1' }])
            sent.push(id)
          }
        })(),
        (async () => {
          for (let call = 0; !stopped; call++) {
            await other.stream!.append(name, [{ partition: 0, body: `${call}` }])
            appended.push(`${call}`)
          }
        })(),
      ]
      for (const round of [1, 2, 3]) {
        await expect.poll(() => appended.length, { timeout: 20_000 }).toBeGreaterThan(40 * round)
        await server.kill()
        await server.restart()
      }
      await expect.poll(() => appended.length, { timeout: 20_000 }).toBeGreaterThan(160)
      stopped = true
      await Promise.all(working)
      expect(await bodies(name, appended.length)).toEqual(appended)
      const claimed: string[] = []
      for (;;) {
        const found = await engine.queue!.claim(name, { ...claim, waitMs: 500 })
        claimed.push(...found.map(({ id }) => id))
        // On a slow machine half a second may be too short for an answer: the end is where the queue says that none is ready.
        if (found.length === 0 && (await engine.queue!.count(name)).ready === 0) break
      }
      expect(claimed).toEqual(sent)
    })
  })
}

function order(body: string): number {
  const [round, index] = body.split('-').map(Number)
  return 10_000 * round! + index!
}

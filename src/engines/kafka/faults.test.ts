// Lost answers, brokers that die, hang and come back: on a real broker behind a relay that can be told to misbehave.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningServer, kafka as server } from '../../../test/servers/index.ts'
import type { Engine } from '../../ports/engine.ts'
import type { Membership, StreamPort } from '../../ports/stream.ts'
import { kafka } from './engine.ts'

const produceKey = 0
const missing = await server.missing()

/** Stands before the broker, which tells everybody to come through here. */
class Relay {
  readonly port: number
  target = 0
  /** Swallows the answers to the next so many produce requests, and cuts the connection instead. */
  loseProduceAnswers = 0
  lost = 0
  frozen = false
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
    let lastKey = -1
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        near.destroy()
        far.destroy()
        this.#sockets.delete(socket)
      })
    }
    near.on('data', (bytes) => {
      if (this.frozen) return
      // The client writes a request in one piece, and one at a time on a produce connection.
      lastKey = bytes.length >= 6 ? bytes.readInt16BE(4) : -1
      far.write(bytes)
    })
    far.on('data', (bytes) => {
      if (this.frozen) return
      if (lastKey === produceKey && this.loseProduceAnswers > 0) {
        this.loseProduceAnswers--
        this.lost++
        near.destroy()
      } else near.write(bytes)
    })
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

let names = 0
const fresh = () => `faults-test-${++names}`
const one = { maxRecords: 5000, maxBytes: 1e8, waitMs: 3000 }

describe.skipIf(missing)('faults', () => {
  let broker: RunningServer
  let relay: Relay
  let engine: Engine
  let stream: StreamPort

  beforeAll(async () => {
    relay = await Relay.start()
    broker = await server.start({ settings: { 'advertised.listeners': `CLIENT://127.0.0.1:${relay.port}` } })
    relay.target = Number(new URL(broker.url).port)
    engine = await kafka({ url: `kafka://127.0.0.1:${relay.port}`, timeoutMs: 20_000 })
    stream = engine.stream!
  })
  afterAll(async () => {
    await engine?.close()
    await relay?.close()
    await broker?.stop()
  })

  async function bodies(name: string, partitions: number, count: number): Promise<string[][]> {
    const found: string[][] = Array.from({ length: partitions }, () => [])
    const next = found.map(() => 0)
    while (found.flat().length < count) {
      const from = next.map((position, partition) => ({ partition, position }))
      const records = await stream.read(name, from, one)
      if (records.length === 0) break
      for (const { partition, position, body } of records) {
        found[partition]!.push(body)
        next[partition] = position + 1
      }
    }
    const from = next.map((position, partition) => ({ partition, position }))
    for (const { partition, body } of await stream.read(name, from, { ...one, waitMs: 0 }))
      found[partition]!.push(body)
    return found
  }

  test('batches whose answers were lost are sent again and stored once, in order', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 2 })
    const sent: string[][] = [[], []]
    const appends: Promise<unknown>[] = []
    for (let round = 0; round < 60; round++) {
      if (round % 3 === 1) relay.loseProduceAnswers++
      const partition = round % 2
      const records = Array.from({ length: 7 }, (_, index) => ({ partition, body: `${round}-${index}` }))
      sent[partition]!.push(...records.map(({ body }) => body))
      appends.push(stream.append(name, records))
      // Some wait their turn behind others, some do not.
      if (round % 5 > 2) await Promise.all(appends)
    }
    await Promise.all(appends)
    expect(relay.lost).toBeGreaterThan(10)
    expect(await bodies(name, 2, 420)).toEqual(sent)
  })

  test('cut connections are made again: nothing that was asked for fails', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    const cutting = setInterval(() => relay.cut(), 150)
    try {
      for (let round = 0; round < 20; round++) {
        const result = await stream.append(name, [{ partition: 0, body: `${round}` }])
        expect(result).toEqual({ status: 'appended', positions: [round] })
        expect((await stream.bounds(name))[0]!.next).toBe(round + 1)
        const [record] = await stream.read(name, [{ partition: 0, position: round }], one)
        expect(record!.body).toBe(`${round}`)
      }
    } finally {
      clearInterval(cutting)
    }
  })

  test('a membership outlives cut connections, and keeps its partitions', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 3 })
    const events: string[] = []
    const assigned = Promise.withResolvers<void>()
    const member = await stream.join(name, 'g', {
      sessionMs: 4000,
      assigned: () => assigned.resolve(),
      revoked: async (partitions, lost) => void events.push(`revoked ${partitions} ${lost}`),
      failed: (error) => void events.push(`failed ${error}`),
    })
    await assigned.promise
    for (let round = 0; round < 6; round++) {
      relay.cut()
      await new Promise((done) => setTimeout(done, 250))
      expect(await member.commit([{ partition: 0, position: round }])).toEqual(['committed'])
    }
    expect(events).toEqual([])
    await member.leave()
  })

  test('a silent network: calls end within their bound, the session is lost, and all comes back by itself', async () => {
    const name = fresh()
    const short = await kafka({ url: `kafka://127.0.0.1:${relay.port}`, timeoutMs: 3000 })
    const port = short.stream!
    await port.declare({ name, partitions: 1 })
    const lost = Promise.withResolvers<void>()
    let held = 0
    const member: Membership = await port.join(name, 'g', {
      sessionMs: 2000,
      assigned: (partitions) => {
        held += partitions.length
      },
      revoked: async (partitions, gone) => {
        held -= partitions.length
        if (gone) lost.resolve()
      },
      failed: lost.reject,
    })
    await expect.poll(() => held).toBe(1)
    relay.frozen = true
    try {
      const start = Date.now()
      const calls = {
        append: port.append(name, [{ partition: 0, body: 'x' }]),
        bounds: port.bounds(name),
        read: port.read(name, [{ partition: 0, position: 0 }], { ...one, waitMs: 0 }),
        committed: port.committed(name, 'g'),
        open: kafka({ url: `kafka://127.0.0.1:${relay.port}`, timeoutMs: 3000 }),
      }
      const ends = Object.entries(calls).map(async ([call, promise]) => {
        const code = await promise.then(
          () => 'resolved',
          (error) => error.code,
        )
        return { call, code, inTime: Date.now() - start < 8000 }
      })
      for (const end of await Promise.all(ends))
        expect(end).toMatchObject({ code: 'ENGINE_UNAVAILABLE', inTime: true })
      await lost.promise
      expect(held).toBe(0)
      expect(await member.commit([{ partition: 0, position: 1 }])).toEqual(['stale'])
    } finally {
      relay.frozen = false
      relay.cut()
    }
    await expect.poll(() => held, { timeout: 20_000 }).toBe(1)
    expect(await member.commit([{ partition: 0, position: 1 }])).toEqual(['committed'])
    await short.close()
  }, 60_000)

  test('a broker that is killed and started again: what resolved is there, reading and the group go on', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 2 })
    let held = 0
    const failures: unknown[] = []
    const member = await stream.join(name, 'g', {
      sessionMs: 30_000,
      assigned: (partitions) => {
        held += partitions.length
      },
      revoked: async (partitions) => {
        held -= partitions.length
      },
      failed: (error) => void failures.push(error),
    })
    await expect.poll(() => held).toBe(2)
    const stored = new Set<string>()
    // The broker may be away for longer than a call goes on trying; then nobody can say.
    const unknown = new Set<string>()
    let on = true
    const appending = (async () => {
      for (let round = 0; on; round++) {
        const body = `${round}`
        await stream.append(name, [{ partition: round % 2, body }]).then(
          () => stored.add(body),
          (error) => {
            expect(error.code).toBe('ENGINE_UNAVAILABLE')
            unknown.add(body)
          },
        )
      }
    })()
    await expect.poll(() => stored.size, { timeout: 10_000 }).toBeGreaterThan(20)
    await broker.kill()
    await broker.restart()
    const before = stored.size
    await expect.poll(() => stored.size, { timeout: 20_000 }).toBeGreaterThan(before + 20)
    on = false
    await appending
    const found = await bodies(name, 2, stored.size)
    const all = found.flat()
    expect(new Set(all).size).toBe(all.length)
    expect([...stored].filter((body) => !all.includes(body))).toEqual([])
    expect(all.filter((body) => !stored.has(body) && !unknown.has(body))).toEqual([])
    for (const list of found) {
      const certain = list.filter((body) => stored.has(body))
      expect(certain).toEqual([...certain].sort((a, b) => Number(a) - Number(b)))
    }
    await expect
      .poll(() => member.commit([{ partition: 0, position: 5 }]), { timeout: 20_000 })
      .toEqual(['committed'])
    expect(failures).toEqual([])
    await member.leave()
  }, 90_000)

  test('nobody there: opening fails at once', async () => {
    const start = Date.now()
    await expect(kafka({ url: 'kafka://127.0.0.1:1' })).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    expect(Date.now() - start).toBeLessThan(3000)
  })

  test('somebody else there: a server that answers otherwise is told apart from Kafka within the bound', async () => {
    const other = createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    await expect(kafka({ url: `kafka://127.0.0.1:${port}`, timeoutMs: 2000 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    })
    other.close()
  })
})

// Adaptive concurrency in front of a server that is simulated: so many workers, a queue before them, and a clock that the test moves.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AdaptiveLimit } from '../../src/limit/adaptive/adaptive-limit.ts'

const bounds = { from: 4, upTo: 200 }

/** Numbers by chance that are the same at each run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
}

interface Server {
  workers: number
  /** How long a request takes at work, in µs. */
  service: () => number
}

/** As many ask as are let in, all the time; `demand` bounds them. Every request stands in one line before the workers. */
function simulate(limit: AdaptiveLimit, server: Server) {
  let nowUs = 0
  let demand = Number.POSITIVE_INFINITY
  const inLine: number[] = []
  const atWork: { beganUs: number; endsUs: number }[] = []
  const start = () => {
    while (inLine.length > 0 && atWork.length < server.workers)
      atWork.push({ beganUs: inLine.shift()!, endsUs: nowUs + server.service() })
  }
  return {
    get nowUs() {
      return nowUs
    },
    set demand(most: number) {
      demand = most
    },
    wait(us: number) {
      nowUs += us
    },
    run(us: number) {
      const untilUs = nowUs + us
      const numbers: number[] = []
      const latencies: number[] = []
      for (;;) {
        while (inLine.length + atWork.length < Math.min(limit.limit, demand)) inLine.push(nowUs)
        start()
        const next = atWork.reduce((a, b) => (b.endsUs < a.endsUs ? b : a))
        if (next.endsUs > untilUs) break
        nowUs = next.endsUs
        const all = inLine.length + atWork.length
        atWork.splice(atWork.indexOf(next), 1)
        limit.end(next.beganUs, nowUs, all, 'done')
        numbers.push(limit.limit)
        latencies.push(nowUs - next.beganUs)
      }
      const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
      return {
        number: mean(numbers),
        least: Math.min(...numbers),
        most: Math.max(...numbers),
        latencyMs: mean(latencies) / 1_000,
        perSecond: (latencies.length * 1_000_000) / us,
      }
    },
  }
}

const second = 1_000_000
const services: Readonly<Record<string, (random: () => number) => () => number>> = {
  'always 10 ms': () => () => 10_000,
  '5 to 15 ms': (random) => () => 5_000 + random() * 10_000,
  'exponential, 10 ms': (random) => () => -Math.log(random()) * 10_000,
}

describe.each(Object.keys(services))('20 workers, %s', (name) => {
  const seeds = [1, 2, 3]
  const made = (seed: number) => {
    const server: Server = { workers: 20, service: services[name]!(generator(seed)) }
    const limit = new AdaptiveLimit(bounds)
    return { server, limit, simulation: simulate(limit, server) }
  }

  test.each(seeds)('it finds the knee and stays there (seed %i)', (seed) => {
    const { simulation } = made(seed)
    simulation.run(2 * second)
    const { number, latencyMs, perSecond } = simulation.run(20 * second)
    expect(number).toBeGreaterThan(15)
    expect(number).toBeLessThan(34)
    expect(perSecond).toBeGreaterThan(1_600)
    expect(latencyMs).toBeLessThan(17)
  })

  test.each(seeds)('it follows when there are half as many workers, and twice as many (seed %i)', (seed) => {
    const { simulation, server } = made(seed)
    simulation.run(5 * second)
    server.workers = 10
    simulation.run(12 * second)
    const half = simulation.run(10 * second)
    expect(half.number).toBeGreaterThan(7)
    expect(half.number).toBeLessThan(20)
    expect(half.perSecond).toBeGreaterThan(750)
    server.workers = 40
    simulation.run(12 * second)
    const twice = simulation.run(10 * second)
    expect(twice.number).toBeGreaterThan(27)
    expect(twice.number).toBeLessThan(60)
    expect(twice.perSecond).toBeGreaterThan(3_000)
  })

  test('it recovers when the work itself takes four times as long, and when it is quick again', () => {
    const { simulation, server } = made(4)
    simulation.run(5 * second)
    const service = server.service
    server.service = () => 4 * service()
    simulation.run(30 * second)
    const slow = simulation.run(10 * second)
    expect(slow.number).toBeGreaterThan(13)
    expect(slow.number).toBeLessThan(36)
    server.service = service
    simulation.run(15 * second)
    expect(simulation.run(10 * second).perSecond).toBeGreaterThan(1_600)
  })
})

test('idle times change nothing, and little demand neither', () => {
  const random = generator(5)
  const server: Server = { workers: 20, service: () => 5_000 + random() * 10_000 }
  const limit = new AdaptiveLimit(bounds)
  const simulation = simulate(limit, server)
  simulation.run(5 * second)
  simulation.demand = 2
  // The round that was under way ends.
  simulation.run(2 * second)
  const before = limit.limit
  const { least, most } = simulation.run(30 * second)
  expect([least, most]).toEqual([before, before])
  simulation.wait(3_600 * second)
  expect(limit.limit).toBe(before)
  simulation.demand = Number.POSITIVE_INFINITY
  const { number, perSecond } = simulation.run(5 * second)
  expect(number).toBeGreaterThan(15)
  expect(number).toBeLessThan(34)
  expect(perSecond).toBeGreaterThan(1_600)
})

test('a single slow request in a round says nothing, however slow', () => {
  const wide = { from: 4, upTo: 1_000 }
  const [even, odd] = [new AdaptiveLimit(wide), new AdaptiveLimit(wide)]
  for (let i = 0; i < 8_000; i++) {
    const nowUs = i * 100_000
    even.end(nowUs - 10_000, nowUs, even.limit, 'done')
    odd.end(nowUs - (i % 100 === 15 ? 1_000_000 : 10_000), nowUs, odd.limit, 'done')
    // What began before a round does not count in it: its rounds end a little later.
    expect(odd.limit).toBeGreaterThan(0.7 * even.limit)
  }
  expect(even.limit).toBeGreaterThan(200)
})

test('a round with drops takes a tenth', () => {
  const limit = new AdaptiveLimit({ from: 1, upTo: 100 })
  let nowUs = 0
  const rounds = (count: number, how: 'done' | 'dropped') => {
    for (let i = 0; i < count; i++) {
      limit.end(nowUs, nowUs + 1_000, limit.limit, how)
      nowUs += 1_000
    }
  }
  rounds(4_000, 'done')
  const before = limit.limit
  expect(before).toBe(100)
  rounds(256, 'dropped')
  expect(limit.limit).toBe(90)
  rounds(20_000, 'dropped')
  expect(limit.limit).toBe(1)
})

test('whatever happens it stays within its bounds', () => {
  const whole = (min: number, max: number) => fc.integer({ min, max })
  const act = fc.tuple(
    whole(0, 20_000),
    whole(1, 3_000_000),
    fc.constantFrom<'done' | 'dropped' | 'unmeasured'>(
      'done',
      'done',
      'done',
      'done',
      'dropped',
      'unmeasured',
    ),
    whole(1, 40),
  )
  fc.assert(
    fc.property(whole(1, 30), whole(1, 100), fc.array(act, { maxLength: 60 }), (from, more, acts) => {
      const upTo = from + more
      const limit = new AdaptiveLimit({ from, upTo })
      let nowUs = 0
      for (const [step, latency, how, times] of acts)
        for (let i = 0; i < times; i++) {
          nowUs += step
          limit.end(Math.max(0, nowUs - latency), nowUs, 1 + (i % upTo), how)
          if (limit.limit < from || limit.limit > upTo) throw new Error(`${limit.limit} is outside`)
        }
    }),
    { numRuns: 100 },
  )
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRules } from '../../file/parse-rules.ts'
import { checkRules } from '../../rule/read-rules.ts'
import { refillOf, refillsBetween } from '../population/refill.ts'
import { Tally } from '../population/tally.ts'
import { bucketsAround, lineCapacities } from '../surroundings.ts'
import { Bootstrap } from './bootstrap.ts'
import { type Candidate, kneeOf, leastInWorst, worstCase } from './choose.ts'
import { canHold, type Proposal, proposeRule, rulesFile } from './rules.ts'

const candidate = (ratePerSecond: number, capacity: number): Candidate => ({
  ratePerSecond,
  capacity,
  refill: ratePerSecond,
  per: 'second',
})

test('a tally knows every rank, and rounds large needs up by less than a thousandth once there are too many', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(50), fc.nat(1e9)), { minLength: 1 }), (needs) => {
      const tally = new Tally()
      for (const need of needs) tally.add(need)
      const sorted = needs.toSorted((a, b) => a - b)
      sorted.forEach((need, index) => {
        expect(tally.ofRank(index + 1)).toBe(need)
      })
      expect(tally.enoughFor(0.5)).toBe(sorted[Math.ceil(needs.length / 2) - 1])
      expect(tally.enoughFor(1)).toBe(sorted.at(-1))
    }),
  )
  const many = new Tally()
  for (let need = 1; need <= 80_000; need++) many.add(need * 1_000)
  for (const rank of [1, 777, 40_000, 80_000]) {
    const ratio = many.ofRank(rank) / (rank * 1_000)
    expect(ratio).toBeGreaterThanOrEqual(1)
    expect(ratio).toBeLessThan(1.001)
  }
  const powers = new Tally()
  for (let need = 1; need <= 5_000; need++) powers.add(1_024 + need)
  for (let power = 13; power < 60; power++)
    for (const near of [2 ** power - 1, 2 ** power, 2 ** power + 1]) powers.add(near)
  for (let power = 13; power < 60; power++) {
    const found = powers.ofRank(5_000 + (power - 13) * 3 + 2)
    expect(found).toBeGreaterThanOrEqual(2 ** power)
    expect(found).toBeLessThan(2 ** power * 1.001)
  }
  expect(new Tally().enoughFor(1)).toBe(0)
})

test('refills rise, are whole numbers per unit, and leave no wide gap', () => {
  const refills = refillsBetween(1 / 86_400, 1_000)
  refills.forEach(({ ratePerSecond, refill, per }, index) => {
    expect(Number.isInteger(refill)).toBe(true)
    expect(refillOf(ratePerSecond)).toMatchObject({ ratePerSecond: expect.closeTo(ratePerSecond, 12) })
    expect(ratePerSecond).toBeCloseTo(refill / { second: 1, minute: 60, hour: 3_600, day: 86_400 }[per], 12)
    if (index > 0) {
      const ratio = ratePerSecond / refills[index - 1]!.ratePerSecond
      expect(ratio).toBeGreaterThan(1)
      expect(ratio).toBeLessThanOrEqual(2.001)
    }
  })
  expect([refills[0]!.per, refills.at(-1)!.ratePerSecond]).toEqual(['day', 1_000])
  expect(refillOf(0.5)).toEqual({ ratePerSecond: 0.5, refill: 30, per: 'minute' })
  expect(refillOf(Math.PI)).toBe(undefined)
})

test('chosen is the bucket that lets through least in the worst time; longer times choose less refill', () => {
  const curve = [candidate(1, 100), candidate(2, 50), candidate(5, 20), candidate(10, 15), candidate(50, 14)]
  expect(leastInWorst(curve, 1)).toBe(curve[2])
  expect(leastInWorst(curve, 0)).toBe(curve[4])
  expect(leastInWorst(curve, 1_000)).toBe(curve[0])
  expect(worstCase(curve[2]!, 60)).toBe(320)
  expect(leastInWorst([], 1)).toBe(undefined)
})

test('the knee is where the curve turns level', () => {
  const curve = [1, 2, 4, 8, 16, 32, 64].map((rate) => candidate(rate, 1_000 / rate))
  expect(kneeOf(curve)).toBe(undefined)
  const bent = [
    candidate(1, 1_000),
    candidate(10, 20),
    candidate(100, 12),
    candidate(1_000, 10),
    candidate(2_000, 10),
  ]
  expect(kneeOf(bent)).toBe(bent[1])
  expect(kneeOf([candidate(1, 5), candidate(2, 5)])).toBe(undefined)
})

test('the interval of the bootstrap holds the share as often as it says', () => {
  // A key in twenty is refused one of its ten requests: 0.5 %.
  let seed = 7
  const chance = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return seed / 2 ** 32
  }
  let held = 0
  for (let run = 0; run < 100; run++) {
    const bootstrap = new Bootstrap()
    for (let key = 0; key < 1_000; key++) bootstrap.add(chance() < 0.05 ? 1 : 0, 10)
    const [low, high] = bootstrap.interval()
    expect(high - low).toBeLessThan(0.004)
    if (low <= 0.005 && 0.005 <= high) held += 1
  }
  expect(held).toBeGreaterThanOrEqual(85)
  expect(new Bootstrap().interval()).toEqual([0, 0])
})

test('what is proposed is a rules file, in shadow mode, that can hold', () => {
  const propose = (given: Partial<Proposal>) =>
    proposeRule({
      fields: ['address'],
      refill: { refill: 5, per: 'second' },
      capacity: 12,
      parts: 1,
      cost: undefined,
      ...given,
    })
  expect(rulesFile(propose({}))).toBe(
    'rules:\n  tuned: { capacity: 12, refill: 5, per: second, by: address, shadow: true }\n',
  )
  expect(
    rulesFile(propose({ fields: ['user', 'x: y', 'on'], parts: 100, capacity: 0.25, cost: 'bytes' })),
  ).toBe(
    [
      '# costs are counted in parts: 100 for 1 of the log',
      '# declare in keys: "x: y", "on"',
      'rules:',
      '  tuned: { capacity: 25, refill: 500, per: second, by: [user, "x: y", "on"], cost: bytes, shadow: true }',
      '',
    ].join('\n'),
  )
  expect(rulesFile(propose({ fields: [] }))).not.toContain('by:')
  expect(canHold({ ...candidate(1 / 86_400, 1_000_000), refill: 1, per: 'day' }, 1)).toBe(false)
  for (const refill of refillsBetween(1 / 86_400, 100_000))
    for (const capacity of [1, 999, 1_000_000]) {
      if (!canHold({ ...refill, capacity }, 1)) {
        // It would take years to fill.
        expect(capacity / refill.ratePerSecond).toBeGreaterThan(86_400 * 365)
        continue
      }
      const { name, rule, undeclaredKeys } = propose({ fields: ['user', 'path'], refill, capacity })
      expect(checkRules({ [name]: rule }, undeclaredKeys)).toHaveLength(1)
    }
})

test('what is printed is read back by the reader of rules files as it was meant, whatever keys are called', async () => {
  const names = fc.array(
    fc.oneof(fc.constantFrom('user', 'no', '1', 'a: b', '#c', '[d]', "it's"), fc.string({ minLength: 1 })),
    {
      maxLength: 3,
    },
  )
  await fc.assert(
    fc.asyncProperty(names, fc.option(fc.string({ minLength: 1 })), async (fields, cost) => {
      const proposed = proposeRule({
        fields,
        refill: { refill: 5, per: 'minute' },
        capacity: 2.5,
        parts: 10,
        cost: cost ?? undefined,
      })
      expect(await parseRules(rulesFile(proposed), 'tuned.yaml')).toEqual({ tuned: proposed.rule })
    }),
    { numRuns: 200 },
  )
})

test('what is tried stands around the recommendation', () => {
  const curve = [1, 2, 4, 8, 16].map((rate) => candidate(rate, 20))
  const around = bucketsAround(curve[2]!, curve, [1, 3, 20, 40], 1)
  expect(new Set(around.map(({ ratePerSecond }) => ratePerSecond))).toEqual(new Set([1, 2, 4, 8, 16]))
  expect([...new Set(around.map(({ capacity }) => capacity))]).toEqual([1, 3, 5, 10, 20, 40])
  expect(lineCapacities(1, 128)).toEqual([1, 2, 4, 8, 16, 32, 64, 128])
  expect(lineCapacities(3, 3)).toEqual([3])
})

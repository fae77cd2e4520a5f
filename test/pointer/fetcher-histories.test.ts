// Random histories of an owner, its lagging replica, and those who want its payloads: what each is given is what it may be given, and the owner is
// asked no more than it has to be. Then the same with each planted fault, which must be found.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { call } from '../../src/core/call-contract.ts'
import { context } from '../../src/core/contract.ts'
import { type Current, pointer } from '../../src/core/pointer-contract.ts'
import { unchecked } from '../../src/core/schema.ts'
import { Fetcher } from '../../src/pointer/fetcher.ts'
import { fakeClock } from '../../src/testing/index.ts'
import { type Mutant, mutants } from './fetcher-mutants.ts'
import { SimulatedOwner } from './simulated-owner.ts'

const orders = context('orders', {
  events: { changed: pointer({ key: 'orderId', fetch: 'getOrder' }) },
  calls: { getOrder: call({ input: unchecked<{ orderId: string }>(), output: unchecked<object>() }) },
})

const key = fc.nat(1).map((n) => `k${n}`)
const of = <Kind extends string, More extends object>(
  kind: Kind,
  more: { readonly [K in keyof More]: fc.Arbitrary<More[K]> },
) => fc.record({ kind: fc.constant(kind), ...more } as never) as fc.Arbitrary<{ kind: Kind } & More>

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: of<'change', { key: string; seen: boolean }>('change', { key, seen: fc.boolean() }),
  },
  { weight: 2, arbitrary: of<'remove', { key: string }>('remove', { key }) },
  { weight: 3, arbitrary: of<'catch up', object>('catch up', {}) },
  {
    weight: 9,
    arbitrary: of<'want', { key: string; back: number; old: boolean }>('want', {
      key,
      back: fc.constantFrom(0, 0, 0, 1, 2),
      old: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 1, arbitrary: of<'want many', object>('want many', {}) },
  { weight: 1, arbitrary: of<'abort', { which: number }>('abort', { which: fc.nat(30) }) },
  {
    weight: 8,
    arbitrary: of<'answer', { which: number; late: boolean }>('answer', {
      which: fc.nat(3),
      late: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 1, arbitrary: of<'down', object>('down', {}) },
  { weight: 2, arbitrary: of<'up', object>('up', {}) },
  {
    weight: 6,
    arbitrary: of<'wait', { ms: number }>('wait', { ms: fc.constantFrom(10, 60, 200, 1_100, 6_000, 10_100) }),
  },
)

const histories = fc.record({
  random: fc.constantFrom(0, 0.5, 0.999),
  tellsVersionOfGone: fc.boolean(),
  refused: fc.constantFrom('', '', 'k0'),
  steps: fc.array(step, { minLength: 5, maxLength: 80 }),
})

type History = typeof histories extends fc.Arbitrary<infer Value> ? Value : never

interface Asker {
  readonly key: string
  readonly version: number
  readonly isOld: boolean
  /** How many requests had left. */
  readonly asked: number
  readonly abort: AbortController
  end: 'found' | 'gone' | 'rejected' | undefined
}

async function play(make: typeof Fetcher, history: History): Promise<void> {
  const clock = fakeClock()
  const owner = new SimulatedOwner(clock)
  owner.tellsVersionOfGone = history.tellsVersionOfGone
  owner.refused.add(history.refused)
  const options = { pointer: orders.events.changed.pointer, owner, clock, report() {} }
  const fetcher = new make({ ...options, random: () => history.random })
  const askers: Asker[] = []
  /** What it was told last of a key, as far as it is to remember it. */
  const told = new Map<string, { version: number; at: number }>()
  const wrong: string[] = []
  const claim = (isSo: boolean, what: string) => {
    if (!isSo) wrong.push(what)
  }

  const given = (asker: Asker, current: Current<unknown, unknown>) => {
    asker.end = current.state
    const { key: name, version, asked } = asker
    const now = clock.elapsed()
    if (current.state === 'found') {
      claim(current.version >= version, `version ${current.version} of ${name} for ${version}`)
      const value = current.value as { orderId: string; version: number; text: string }
      const sound = { orderId: name, version: current.version, text: `${name} at ${current.version}` }
      assert.deepEqual(value, sound)
      const said = owner.said.some(
        (each) => each.key === name && each.row?.version === current.version && now - each.at < 10_000,
      )
      claim(said, `${name} at ${current.version} was not said within ten seconds`)
      return
    }
    // What was said of the key to requests that left once it was wanted.
    const since = owner.said.filter((each) => each.key === name && each.asked >= asked)
    const goneAt = since.filter(({ row }) => !row || row.isGone).map((each) => each.at)
    const byVersion =
      owner.tellsVersionOfGone &&
      owner.said.some((each) => each.key === name && each.row?.isGone && each.row.version >= version)
    const known = owner.said.some((each) => each.key === name && (!each.row || each.row.isGone))
    const first = goneAt[0]
    const believed = byVersion || (first !== undefined && (asker.isOld || goneAt.at(-1)! - first >= 1_000))
    claim(known, `${name} is gone, which nobody said`)
    // Another who wanted this version, or a later one, may have believed it within the time for which it is kept.
    const other = askers.some(
      (each) => each !== asker && each.key === name && each.end === 'gone' && each.version >= version,
    )
    claim(believed || other, `${name} was believed to be gone too soon`)
  }

  const want = async (name: string, back: number, isOld: boolean) => {
    const version = Math.max(0, (owner.rows.get(name)?.version ?? 0) - back)
    const abort = new AbortController()
    const asker: Asker = { key: name, version, isOld, asked: owner.requests.length, abort, end: undefined }
    askers.push(asker)
    const known = told.get(name)
    const isKnown = known && known.version >= version && clock.elapsed() - known.at < 10_000
    const before = owner.requests.length
    const happenedAt = clock.now() - (isOld ? 3_600_000 : 0)
    const ended = fetcher.fetch({ key: name, version, happenedAt }, abort.signal).then(
      (current) => given(asker, current),
      (thrown) => {
        asker.end = 'rejected'
        const isRefused = name === history.refused
        claim(abort.signal.aborted || isRefused, `${name} was rejected: ${thrown}`)
      },
    )
    if (isKnown) {
      await Promise.race([ended, clock.advance(0)])
      claim(asker.end !== undefined, `${name} was known, and not given`)
      claim(owner.requests.length === before, `${name} was asked for again although it was known`)
    }
  }

  const answer = async (which: number, late = false) => {
    const request = owner.pending[which % Math.max(1, owner.pending.length)]
    if (!request) return
    const before = owner.said.length
    request.answer(late)
    await clock.advance(0)
    for (const { key: name, at, row } of owner.said.slice(before)) {
      const last = told.get(name)
      const isFresh = last && at - last.at < 10_000
      if (!row || row.isGone) told.delete(name)
      else if (!isFresh || last.version <= row.version) told.set(name, { version: row.version, at })
    }
  }

  for (const step of history.steps) {
    const row = 'key' in step ? owner.rows.get(step.key) : undefined
    const next = (row?.version ?? 0) + 1
    if (step.kind === 'change') {
      owner.rows.set(step.key, { version: next, isGone: false })
      if (step.seen) owner.catchUp()
    } else if (step.kind === 'remove') owner.rows.set(step.key, { version: next, isGone: true })
    else if (step.kind === 'catch up') owner.catchUp()
    else if (step.kind === 'want') await want(step.key, step.back, step.old)
    else if (step.kind === 'want many')
      for (let n = 0; n < 450; n++) {
        owner.rows.set(`m${n}`, { version: 1, isGone: false })
        await want(`m${n}`, 0, false)
      }
    else if (step.kind === 'abort') askers[step.which]?.abort.abort()
    else if (step.kind === 'answer') await answer(step.which, step.late)
    else if (step.kind === 'down') owner.isUp = false
    else if (step.kind === 'up') owner.isUp = true
    else await clock.advance(step.ms)
    await clock.advance(0)
    claim(owner.pending.length <= 2, `${owner.pending.length} requests at once`)
  }
  const asked = owner.requests.length

  // The owner is back, and caught up: everybody has an answer soon, and it is not asked over and over for that.
  owner.isUp = true
  owner.catchUp()
  const keys = new Set(askers.filter(({ end }) => !end).map((each) => each.key))
  const open = () => askers.filter(({ end }) => end === undefined)
  for (let round = 0; round < 400 && open().length > 0; round++) {
    for (let turn = 0; turn < 10 && owner.pending.length > 0; turn++) await answer(0)
    await clock.advance(250)
  }
  for (const { key: name, version } of open()) claim(false, `${name} at ${version} was never answered`)
  claim(
    owner.requests.length - asked <= 20 + keys.size * 4,
    `it was asked ${owner.requests.length - asked} times for ${keys.size} keys`,
  )
  // Nothing is asked at the moment of another failure: not of one that was away, and not for what was not yet there.
  const askedAgain = (name: string) => owner.requests.filter(({ keys: all }) => all.includes(name))
  for (const name of ['k0', 'k1'])
    askedAgain(name).forEach(({ at, wasUp }, index, all) => {
      const before = all[index - 1]
      if (!before || wasUp || before.wasUp) return
      claim(at - before.at >= 50, `${name} was asked for after ${at - before.at} ms while nobody was there`)
    })
  fetcher.close()
  assert.deepEqual([...owner.problems, ...wrong], [])
  assert.equal(clock.timers, 0, 'no timer is left')
}

const runs = { numRuns: 300, seed: 4_711 } as const

test('in every history everybody is given what he may be given', async () => {
  await fc.assert(
    fc.asyncProperty(histories, (history) => play(Fetcher, history)),
    { numRuns: 150 },
  )
}, 60_000)

const folder = mkdtempSync(join(tmpdir(), 'spillway-mutants-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each(mutants.map((mutant, index) => ({ ...mutant, index })))(
  'found: $name',
  async (mutant) => {
    const Planted = await fetcherWith(mutant, mutant.index)
    const found = await fc.check(
      fc.asyncProperty(histories, (history) => play(Planted, history)),
      { ...runs, endOnFailure: true },
    )
    expect(found.errorInstance).toBeInstanceOf(assert.AssertionError)
  },
  60_000,
)

/** The fetcher with one part of its text changed, loaded beside the real one. */
async function fetcherWith({ file, find, replace }: Mutant, index: number): Promise<typeof Fetcher> {
  const sources = new URL('../../src/pointer/', import.meta.url)
  const inFolder = (name: string) => join(folder, `${index}-${name}`)
  for (const name of ['fetcher.ts', 'want.ts', 'cache.ts', 'answer.ts', 'owner.ts']) {
    let text = readFileSync(new URL(name, sources), 'utf8')
    if (name === file) {
      expect(text.split(find), `${JSON.stringify(find)} stands once in ${file}`).toHaveLength(2)
      text = text.replace(find, () => replace)
    }
    writeFileSync(
      inFolder(name),
      text
        .replaceAll("from './", `from './${index}-`)
        .replaceAll("from '../", `from '${new URL('../', sources)}`),
    )
  }
  const planted = (await import(pathToFileURL(inFolder('fetcher.ts')).href)) as { Fetcher: typeof Fetcher }
  return planted.Fetcher
}

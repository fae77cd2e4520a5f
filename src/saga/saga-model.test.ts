// Random histories of a saga: events of several streams at once, duplicates, timeouts that cross them, commits that fail before or after they are
// stored. What was sent, in the order of the commits, must be what one after the other would have sent.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { context, event, queue } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import { unchecked } from '../core/schema.ts'
import type { CommitUnit, Database, OutboxMessage } from '../ports/database.ts'
import type { Delivery } from '../queue/delivery.ts'
import type { EventDelivery } from '../stream/event-delivery.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import type { UnitHome } from '../transaction/unit.ts'
import { sagaEventHandler, sagaTimeoutHandler } from './runner.ts'
import { saga, timeoutQueue } from './saga.ts'
import type { TimeoutData } from './step.ts'

interface Fact {
  readonly id: string
  readonly n: number
}
const fact = unchecked<Fact>()
const bank = context('bank', {
  events: { opened: event({ data: fact }), paid: event({ data: fact }), closed: event({ data: fact }) },
  queues: { told: queue({ data: unchecked<Fact & { readonly total: number; readonly what: string }>() }) },
})
const { opened, paid, closed } = bank.events
const { told } = bank.queues
const by = ({ id }: Fact) => id

const account = saga('account', { state: unchecked<{ readonly total: number }>() })
  .startedBy(opened, { by }, ({ id, n }, step) => {
    step.send(told, { id, n, total: n, what: 'opened' })
    step.timeout('interest', '1h')
    return { total: n }
  })
  .on(paid, { by }, ({ id, n }, { total }, step) => {
    step.send(told, { id, n, total: total + n, what: 'paid' })
    // Every other payment begins the time anew.
    if (n % 2 === 0) step.timeout('interest', '1h')
    return { total: total + n }
  })
  .on(closed, { by }, ({ id, n }, { total }, step) => {
    step.send(told, { id, n, total, what: 'closed' })
    return step.end()
  })
  .onTimeout('interest', ({ total }, step) => {
    step.send(told, { id: step.id, n: 1_000, total: total + 1_000, what: 'interest' })
    return { total: total + 1_000 }
  })

type Kind = 'opened' | 'paid' | 'closed'
interface Given {
  readonly kind: Kind
  readonly id: string
  readonly copies: number
}
const given: fc.Arbitrary<Given> = fc.record({
  kind: fc.constantFrom<Kind>('opened', 'paid', 'paid', 'paid', 'closed'),
  id: fc.constantFrom('a', 'b'),
  copies: fc.integer({ min: 1, max: 3 }),
})
const history = fc.record({
  facts: fc.array(given, { minLength: 1, maxLength: 14 }),
  /** How often the timeouts that were sent by then come, as copies of one another. */
  rounds: fc.integer({ min: 1, max: 3 }),
  /** What becomes of each commit, in turn. */
  fates: fc.array(fc.constantFrom('good', 'good', 'good', 'fails', 'unknown'), {
    minLength: 1,
    maxLength: 12,
  }),
  pauses: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 12 }),
})
type History = typeof history extends fc.Arbitrary<infer H> ? H : never

interface Told extends Fact {
  readonly total: number
  readonly what: string
}

/** `last writer`: versions are not looked at. `sent anyway`: what a step sent that lost leaves all the same. `marked first`: the mark is stored before the rest. */
type Plant = 'last writer' | 'sent anyway' | 'marked first' | undefined

async function play(
  { facts, rounds, fates, pauses }: History,
  plant?: Plant,
): Promise<{ told: Told[]; timeouts: number; conflicts: number }> {
  const real = await memoryDatabase({ db: new MemoryTable<number>() }).open('bank')
  const sent: OutboxMessage[] = []
  let conflicts = 0
  let fate = 0
  let pause = 0
  const turns = async () => {
    for (let n = pauses[pause++ % pauses.length]!; n > 0; n--) await Promise.resolve()
  }
  const database = {
    sagas: {
      ...real.sagas,
      async get(name: string, id: string) {
        const stored = await real.sagas.get(name, id)
        await turns()
        return stored
      },
    },
    async commit(unit: CommitUnit<MemoryTable<number>>) {
      const what = fates[fate++ % fates.length]!
      if (what === 'fails' && fate < 20) throw new Error('the commit failed')
      const { saga: write, progress } = unit
      if (plant === 'last writer' && write) {
        const stored = await real.sagas.get(write.saga, write.id)
        if (stored?.body !== null) unit = { ...unit, saga: { ...write, expected: stored?.version ?? 0 } }
      }
      if (plant === 'marked first' && progress) {
        await real.commit({ outbox: [], timeoutMs: 1_000, progress })
        unit = { ...unit, progress: undefined }
        if (what === 'unknown') throw new Error('it died in between')
      }
      const outcome = await real.commit(unit)
      if (plant === 'sent anyway' && outcome === 'conflict') sent.push(...unit.outbox)
      if (outcome === 'committed') sent.push(...unit.outbox)
      if (outcome === 'conflict') conflicts += 1
      if (what === 'unknown' && fate < 20) throw new Error('whether it was stored nobody knows')
      return outcome
    },
  } as unknown as Database<MemoryTable<number>>
  const home: UnitHome<MemoryTable<number>> = {
    context: 'bank',
    database,
    deliver: async () => {},
    cancel: async () => 'unknown',
    timeoutMs: 1_000,
  }
  const at = { saga: account, home, queue: timeoutQueue('bank', account) }
  const held = new Map<string, number>()
  for (const stream of ['opened', 'paid', 'closed'])
    held.set(stream, (await real.acquire(stream, 'bank', 0)).generation)
  const signal = new AbortController().signal
  /** Of those whose start has not come. */
  let waiting: (() => Promise<void>)[] = []
  const deliver = async (kind: Kind, position: number, data: Fact): Promise<void> => {
    const reaction = account.reactions.find((each) => each.event.name === kind)!
    const progress = {
      stream: kind,
      group: 'bank',
      partition: 0,
      generation: held.get(kind)!,
      finished: position,
    }
    const mark = () => ({ progress: { ...progress, low: 0, sequences: {} } })
    const delivery = { signal, ended: false, attempt: 2, mark } as unknown as EventDelivery
    const message = { id: `${kind} ${position}`, type: `bank.${kind}`, data } as Message
    for (let tries = 0; tries < 30; tries++) {
      const result = await sagaEventHandler(at, reaction)(message, delivery).catch(() => 'failed')
      if (result === 'committed') return
      await turns()
    }
    waiting.push(() => deliver(kind, position, data))
  }
  const time = async (): Promise<number> => {
    const due = sent.filter(({ destination }) => destination.name === 'bank.account.timeouts')
    await Promise.all(
      due.flatMap(({ body }) =>
        Array.from({ length: 2 }, async () => {
          const message = JSON.parse(body) as Message<TimeoutData>
          const delivery = { signal, ended: false } as unknown as Delivery
          for (let failed = true; failed; )
            failed = await sagaTimeoutHandler(at)(message, delivery).then(
              (result) => result !== undefined,
              () => true,
            )
        }),
      ),
    )
    return due.length
  }
  let timeouts = 0
  const size = Math.ceil(facts.length / rounds)
  for (let round = 0; round < rounds; round++) {
    const some = facts.slice(round * size, (round + 1) * size)
    const all = some.flatMap(({ kind, id, copies }, index) =>
      Array.from({ length: copies }, () => {
        const n = round * size + index
        return deliver(kind, n, { id, n })
      }),
    )
    const [count] = await Promise.all([time(), ...all])
    timeouts += count
  }
  for (let again = 0; again < 3; again++) {
    const late = waiting
    waiting = []
    await Promise.all(late.map((deliverAgain) => deliverAgain()))
  }
  await time()
  const states = await real.sagas.list('account', { limit: 10 })
  const stories = sent
    .filter(({ destination }) => destination.name === told.queue)
    .map(({ body }) => (JSON.parse(body) as { readonly data: Told }).data)
  for (const { id, body, version } of states) {
    const story = stories.filter((each) => each.id === id)
    assert.equal(version, story.length, `${id}: a version for each step`)
    const last = story.at(-1)!
    if (body === null) assert.equal(last.what, 'closed')
    else assert.equal(JSON.parse(JSON.parse(body).state).data.total, last.total)
  }
  return { told: stories, timeouts, conflicts }
}

/** One after the other: what was sent is a story of each instance in which nothing is done twice and nothing is lost. */
function judge({ facts }: History, stories: readonly Told[]): void {
  for (const id of ['a', 'b']) {
    const story = stories.filter((each) => each.id === id)
    const own = facts.map((fact, n) => ({ ...fact, n })).filter((fact) => fact.id === id)
    if (!own.some(({ kind }) => kind === 'opened')) {
      assert.deepEqual(story, [])
      continue
    }
    assert.equal(story[0]?.what, 'opened', 'it starts with its start')
    let total = 0
    let mayComeDue = false
    for (const [index, { what, n, total: said }] of story.entries()) {
      if (index > 0) assert.notEqual(story[index - 1]!.what, 'closed', 'nothing comes after the end')
      if (what === 'interest') assert.ok(mayComeDue, 'a timeout that was set comes once')
      if (what === 'interest') mayComeDue = false
      if (what === 'opened' || (what === 'paid' && n % 2 === 0)) mayComeDue = true
      total += what === 'closed' ? 0 : n
      assert.equal(said, total, `${id}: each step saw what the one before it left`)
    }
    const events = story.filter(({ what }) => what !== 'interest').map(({ what, n }) => `${what} ${n}`)
    assert.equal(new Set(events).size, events.length, 'no event twice')
    assert.equal(story.filter(({ what }) => what === 'opened').length, 1)
    if (story.at(-1)!.what === 'closed') continue
    const payments = own.filter(({ kind }) => kind !== 'opened')
    for (const { kind, n } of payments)
      assert.ok(events.includes(`${kind} ${n}`), `${kind} ${n} was not lost`)
  }
}

test('random histories leave what one step after the other would have left', {
  timeout: 60_000,
}, async () => {
  let conflicts = 0
  let timeouts = 0
  await fc.assert(
    fc.asyncProperty(history, async (each) => {
      const played = await play(each)
      conflicts += played.conflicts
      timeouts += played.timeouts
      judge(each, played.told)
    }),
    { numRuns: 150 },
  )
  // Else they prove little.
  expect(conflicts).toBeGreaterThan(20)
  expect(timeouts).toBeGreaterThan(20)
})

test.each(['last writer', 'sent anyway', 'marked first'] as const)(
  'a planted fault is found: %s',
  { timeout: 60_000 },
  async (plant) => {
    const property = fc.asyncProperty(history, async (each) => {
      judge(each, (await play(each, plant)).told)
    })
    const { failed } = await fc.check(property, { numRuns: 400, endOnFailure: true })
    expect(failed).toBe(true)
  },
)

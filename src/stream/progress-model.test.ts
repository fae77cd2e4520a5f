// Positions against a model: whatever finishes in whatever order, whoever dies, takes over, comes late or goes back, every event has its
// effect once since the group went back below it last, and what is stored as `low` has nothing unfinished below it.
import { expect, test } from 'vitest'
import type { Database } from '../ports/database.ts'
import { MemoryTable, memoryDatabase } from '../testing/index.ts'
import { Ledger } from './ledger.ts'
import type { WindowEntry } from './window.ts'

const address = { stream: 's', group: 'g', partition: 0 }
const orders = { ...address, stream: 's.group.g' }

function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** One who holds the partition, or still believes it. */
class Holder {
  readonly main: Ledger
  readonly orders: Ledger
  readonly open: WindowEntry[] = []

  constructor(main: Ledger, orders: Ledger) {
    this.main = main
    this.orders = orders
  }

  static async take(database: Database<unknown>): Promise<Holder> {
    const held = await database.acquire(address.stream, address.group, 0)
    const told = await database.acquire(orders.stream, orders.group, 0)
    return new Holder(
      new Ledger(address, held.position ?? 0, held),
      new Ledger(orders, told.position ?? 0, told),
    )
  }

  read(positions: readonly number[]): void {
    const position = positions.find((each) => each >= this.main.window.cursor)
    if (position === undefined) return
    const entry = this.main.window.add(position)
    if (this.main.wasFinished(position)) this.main.window.finish(entry)
    else this.open.push(entry)
  }
}

async function play(seed: number): Promise<void> {
  const random = seeded(seed)
  const database = await memoryDatabase({ db: new MemoryTable<number>() }).open('g')
  const positions: number[] = []
  for (let at = 0; positions.length < 40; at += 1 + random(3)) positions.push(at)
  const effects = new Map(positions.map((position) => [position, 0]))
  let holders = [await Holder.take(database)]
  let order = 0

  const finish = async (holder: Holder, isAnswerLost: boolean): Promise<void> => {
    const entry = holder.open[random(holder.open.length)]
    if (!entry) return
    const outcome = await database.commit({
      outbox: [],
      progress: holder.main.progress(entry),
      timeoutMs: 1_000,
    })
    if (outcome === 'committed') effects.set(entry.position, effects.get(entry.position)! + 1)
    if (outcome === 'stale') holders = holders.filter((each) => each !== holder)
    else if (!isAnswerLost) {
      holder.main.window.finish(entry)
      holder.open.splice(holder.open.indexOf(entry), 1)
    }
  }
  const goBack = async (holder: Holder): Promise<void> => {
    const position = positions[random(positions.length)]!
    const at = holder.orders.window.add(Math.max(order++, holder.orders.window.cursor))
    const { generation } = holder.main
    const to = { ...address, generation, position, low: holder.main.window.low }
    const outcome = await database.rewind(holder.orders.progress(at), to)
    if (outcome === 'committed') for (const each of positions) if (each >= position) effects.set(each, 0)
    holders = holders.filter((each) => each !== holder)
  }

  for (let step = 0; step < 400; step++) {
    const holder = holders[random(holders.length)] ?? (await Holder.take(database))
    if (!holders.includes(holder)) holders.push(holder)
    const chance = random(100)
    if (chance < 45) holder.read(positions)
    else if (chance < 88) await finish(holder, chance >= 84)
    else if (chance < 92) {
      const told = holder.main.progressSoFar()
      await database.commit({ outbox: [], progress: told, timeoutMs: 1_000 })
    } else if (chance < 95) holders = holders.filter((each) => each !== holder)
    else if (chance < 98) holders.push(await Holder.take(database))
    else await goBack(holder)

    expect(Math.max(...effects.values()), `seed ${seed}, step ${step}`).toBeLessThanOrEqual(1)
  }

  const last = await Holder.take(database)
  for (const position of positions)
    if (position < last.main.window.low) expect(effects.get(position), `seed ${seed}`).toBe(1)
  holders = [last]
  for (let step = 0; step < positions.length; step++) last.read(positions)
  while (last.open.length > 0) await finish(last, false)
  expect([...effects.values()], `seed ${seed}`).toEqual(positions.map(() => 1))
}

test('every event has its effect once since the group went back, whoever dies or comes late', async () => {
  for (let seed = 1; seed <= 60; seed++) await play(seed)
})

// testService must come to the same end as a running topology: each case goes both ways, and what is told of the attempt is compared.
import { expect, test } from 'vitest'
import {
  context,
  deadLetter,
  event,
  queue,
  retry,
  run,
  service,
  topology,
  unchecked,
} from '../../src/index.ts'
import { handlerSpy, MemoryTable, memory, memoryDatabase, testService } from '../../src/testing/index.ts'

const acts = {
  done: () => {},
  threw: () => {
    throw new Error('out of paper')
  },
  again: () => retry({ after: '1h', reason: 'not yet' }),
  hopeless: () => deadLetter('no such address'),
} as const
type Act = keyof typeof acts

const desk = context('desk', {
  events: { rung: event({ data: unchecked<Act>(), key: (act) => act }) },
  queues: {
    once: queue({ data: unchecked<Act>(), retry: { attempts: 1 } }),
    often: queue({ data: unchecked<Act>(), retry: { attempts: 3, initial: '1h', max: '1h' } }),
  },
})
const policies = {
  block: { retry: { attempts: 1, initial: '1h', max: '1h' } },
  skip: { onFailure: 'skip', retry: { attempts: 1 } },
  park: { onFailure: 'park', retry: { attempts: 1 } },
  patient: { onFailure: 'skip', retry: { attempts: 2, initial: '1h', max: '1h' } },
} as const

const database = () => ({ database: memoryDatabase({ db: new MemoryTable<string>() }) })
const cases = (['with', 'without'] as const).flatMap((kept) =>
  Object.keys(policies)
    .filter((policy) => kept === 'with' || policy !== 'park')
    .map((policy) => [kept, policy as keyof typeof policies] as const),
)

test.each(cases)('%s a database, onFailure %s', { timeout: 60_000 }, async (kept, policy) => {
  const options = () => (kept === 'with' ? database() : {})
  const make = () =>
    service(desk, options())
      .on(desk.events.rung, ({ data }) => acts[data](), policies[policy])
      .work(desk.queues.once, ({ data }) => acts[data]())
      .work(desk.queues.often, ({ data }) => acts[data]())
  const running = make()
  const spy = handlerSpy()
  await using system = await run(topology({ contexts: [running], engine: 'memory:', partitions: 1 }), {
    engine: memory(),
    onSettled: spy,
  })
  await using tested = await testService(make())
  for (const act of Object.keys(acts) as Act[]) {
    await system.service(running).transaction((tx) => tx.publish(desk.events.rung, act))
    for (const of of [desk.queues.once, desk.queues.often]) await system.queue(of).send(act)
    for (const of of [desk.events.rung, desk.queues.once, desk.queues.often]) {
      const { outcome, reason } = await tested.when<Act, Act>(of, act)
      const settled = await spy.until(of, outcome, { where: ({ data }) => data === act })
      expect([act, of.type, settled.reason, settled.attempt]).toEqual([act, of.type, reason, 1])
    }
  }
})

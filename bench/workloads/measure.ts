// The process that measures one system for one round: fresh, so that no system pays for what another left in the heap
// or taught the compiler. Its argument is a job in JSON; it says what it finds to its parent, and ends.

import { percentile } from '../statistics.ts'
import { systems } from '../systems/index.ts'
import type {
  BenchQueue,
  BenchStream,
  BenchTransactions,
  CallSystem,
  LimitSystem,
  Purpose,
  QueueSystem,
  StreamSystem,
  TransactionSystem,
} from '../systems/system.ts'
import { rateOfCalls, timeOfACall } from './calling.ts'
import { consumeRate } from './consuming.ts'
import { eventLoopDelay } from './event-loop.ts'
import type { Job, Said } from './job.ts'
import { latencies, latenciesFromOtherProcess } from './latency.ts'
import { bytesOfAKey, timeOfADecision } from './limiting.ts'
import { type Work, work } from './names.ts'
import { readRate } from './reading.ts'
import { inBulk, manyInFlight, oneByOne } from './writing.ts'

// Whoever asked is gone: nobody wants the rest.
process.on('disconnect', () => process.exit(1))

const job = JSON.parse(process.argv[2] ?? '') as Job
const { effort } = job

function say(said: Said): void {
  process.send!(said)
}

async function sample(name: Work, run: () => Promise<number>): Promise<void> {
  try {
    say({ says: 'sample', work: name, value: await run() })
  } catch (thrown) {
    fail(name, thrown)
  }
}

function fail(name: string, thrown: unknown): void {
  say({ says: 'failed', work: name, error: thrown instanceof Error ? thrown.message : String(thrown) })
}

async function measureQueue(system: QueueSystem): Promise<void> {
  await withQueue(system, 'send', async (queue) => {
    say({ says: 'durability', durability: queue.durability })
    if (queue.send !== undefined) {
      await sample(work.sendOne, () => oneByOne((payload) => queue.send!(payload), effort))
      await sample(work.sendInFlight, () => manyInFlight((payload) => queue.send!(payload), effort))
    }
    await sample(work.sendBulk, () => inBulk((payloads) => queue.sendMany(payloads), effort))
  })
  if (!system.consumes) return
  await withQueue(system, 'consume', (queue) =>
    sample(work.consume, () => consumeRate(queue, effort.seconds)),
  )
  await withQueue(system, 'consume', (queue) => sample(work.eventLoop, () => eventLoopDelay(queue, effort)))
  await withQueue(system, 'latency', async (queue) => {
    await percentiles(work.p50, work.p99, () => latencies(queue, effort.latencyMessages))
    await percentiles(work.otherP50, work.otherP99, () =>
      latenciesFromOtherProcess(queue, effort.latencyMessages, job.system, job.url),
    )
  })
}

async function percentiles(p50: Work, p99: Work, run: () => Promise<number[]>): Promise<void> {
  try {
    const all = await run()
    say({ says: 'sample', work: p50, value: percentile(all, 0.5) })
    say({ says: 'sample', work: p99, value: percentile(all, 0.99) })
  } catch (thrown) {
    fail(p50, thrown)
  }
}

async function withQueue(
  system: QueueSystem,
  purpose: Purpose,
  use: (queue: BenchQueue) => Promise<void>,
): Promise<void> {
  await system.clear(job.url)
  const queue = await system.open(job.url, purpose)
  await use(queue)
  await queue.close()
  await system.clear(job.url)
}

async function withStream(system: StreamSystem, use: (stream: BenchStream) => Promise<void>): Promise<void> {
  await system.clear(job.url)
  const stream = await system.open(job.url)
  await use(stream)
  await stream.close()
  await system.clear(job.url)
}

async function measureStream(system: StreamSystem): Promise<void> {
  await withStream(system, async (stream) => {
    say({ says: 'durability', durability: stream.durability })
    if (stream.append !== undefined) {
      await sample(work.appendOne, () => oneByOne((payload) => stream.append!(payload), effort))
      if (system.reads)
        await sample(work.appendInFlight, () => manyInFlight((payload) => stream.append!(payload), effort))
    }
    await sample(work.appendBulk, () => inBulk((payloads) => stream.appendMany(payloads), effort))
  })
  if (!system.reads) return
  await withStream(system, (stream) =>
    sample(work.read, () => readRate(stream, effort.readEvents, effort.seconds)),
  )
}

async function measureCalls(system: CallSystem): Promise<void> {
  const calls = await system.open(job.url)
  say({ says: 'durability', durability: calls.durability })
  if (calls.immediate !== undefined)
    await sample(work.immediate, () => timeOfACall(() => calls.immediate!(), effort))
  const { query, command } = calls
  // One by one: a call is a request, and there and back.
  if (query) {
    await sample(work.query, () => timeOfACall(query, effort, 1))
    await sample(work.queries, () => rateOfCalls(query, effort, 50))
  }
  if (command) await sample(work.command, () => timeOfACall(command, effort, 1))
  await calls.close()
}

async function measureLimits(system: LimitSystem): Promise<void> {
  const limits = await system.open()
  say({ says: 'durability', durability: limits.durability })
  await sample(work.decideOne, () => timeOfADecision(limits, 1, 'one', effort))
  await sample(work.decideMany, () => timeOfADecision(limits, 1, 'many', effort))
  await sample(work.decideThree, () => timeOfADecision(limits, 3, 'many', effort))
  await sample(work.keyBytes, () => bytesOfAKey(limits))
}

async function measureTransactions(system: TransactionSystem): Promise<void> {
  const each = async (use: (transactions: BenchTransactions) => Promise<void>) => {
    await system.clear(job.url)
    const transactions = await system.open(job.url)
    await use(transactions)
    await transactions.close()
    await system.clear(job.url)
  }
  await each(async (transactions) => {
    say({ says: 'durability', durability: transactions.durability })
    const count = Math.round(effort.readEvents / 4)
    if (transactions.handle) await sample(work.handle, () => transactions.handle!(count))
  })
  await each(async ({ commits }) => {
    if (!commits) return
    const { latencyMessages } = effort
    await percentiles(work.messageP50, work.messageP99, () => commits('message', latencyMessages))
    await percentiles(work.eventP50, work.eventP99, () => commits('event', latencyMessages))
  })
  await each(async (transactions) => {
    if (transactions.relay) await sample(work.relay, () => transactions.relay!(effort.readEvents))
  })
}

try {
  const entry = systems.find(({ name }) => name === job.system)!
  if (job.kind === 'queue') await measureQueue(await entry.queue!())
  else if (job.kind === 'stream') await measureStream(await entry.stream!())
  else if (job.kind === 'limit') await measureLimits(await entry.limit!())
  else if (job.kind === 'transaction') await measureTransactions(await entry.transaction!())
  else await measureCalls(await entry.call!())
} catch (thrown) {
  fail('opening', thrown)
}
process.removeAllListeners('disconnect')
process.disconnect()
process.exit()

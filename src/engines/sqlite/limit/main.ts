// The thread of the buckets: whatever was asked while the last transaction was under way is decided in one.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { failureOf } from '../native-error.ts'
import { openFile } from '../open-file.ts'
import { limitSchema } from './schema.ts'
import { LimitStore, sweptAtOnce } from './store.ts'
import type { LimitCall, LimitMessage, LimitReport, LimitSetup } from './wire.ts'

const setup = workerData as LimitSetup
const port = parentPort!

const openTimeoutMs = 10_000
// A transaction writes the pages of many buckets that have nothing to do with each other: small pages, and a log in which each is written often before
// it is copied back, and synced.
const pageSize = 2_048
const checkpointPages = (32 * 1024 * 1024) / pageSize
/** A sweep that finds so many is followed by another at once. */
const worthMore = sweptAtOnce / 10

function report(message: LimitReport): void {
  port.postMessage(message)
}

function start(): void {
  const { path, synchronous, busyTimeoutMs, sweepEveryMs } = setup
  const db = openFile(path, limitSchema, {
    synchronous,
    openTimeoutMs,
    busyTimeoutMs: 0,
    pageSize,
    checkpointPages,
  })
  const store = new LimitStore(db, { path, busyTimeoutMs })
  let closing = false

  function drain(into: LimitCall[], first?: LimitMessage): void {
    let message = first
    for (;;) {
      if (message === 'close') closing = true
      else if (message) into.push(...message)
      const next = receiveMessageOnPort(port)
      if (next === undefined) return
      message = next.message as LimitMessage
    }
  }

  function work(message?: LimitMessage): void {
    const calls: LimitCall[] = []
    drain(calls, message)
    if (calls.length > 0) report(store.answer(calls, () => drain(calls)))
    if (closing) close()
  }

  /** Nobody asked for it: what fails comes round again. Whoever asks meanwhile comes in between. */
  function sweep(): void {
    const [answer] = store.answer(['sweep'])
    next = answer && 'ok' in answer && Number(answer.ok) >= worthMore ? setImmediate(sweep) : undefined
  }
  let next: NodeJS.Immediate | undefined
  const sweeping = setInterval(() => {
    if (next === undefined) sweep()
  }, sweepEveryMs)
  sweeping.unref()

  function close(): void {
    clearInterval(sweeping)
    clearImmediate(next)
    db.close()
    // Nothing is left that keeps this thread: it ends.
    port.close()
  }

  port.on('message', work)
}

try {
  start()
} catch (thrown) {
  report({ refused: failureOf(thrown, setup.path) })
}

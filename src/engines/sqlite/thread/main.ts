// The storage thread: the only place of an engine that touches the file. It takes everything that was asked while the
// last commit was under way, executes it in one transaction, and answers when that is synced: the more is
// under way, the more share an fsync.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { storeSchema } from '../migrations.ts'
import { failureOf } from '../native-error.ts'
import { openFile, pragma } from '../open-file.ts'
import { longestTimerMs } from '../range.ts'
import type { Answer, ReadOperation, Report, StorageSetup, Turn, WriteOperation } from '../wire.ts'
import { Checkpoints, longestLogBytes } from './checkpoints.ts'
import { Store } from './store.ts'
import { WakeFiles } from './wake-files.ts'

const setup = workerData as StorageSetup
const port = parentPort!

const openTimeoutMs = 10_000
const pageSize = 8192
const checkpointPages = longestLogBytes / pageSize
const afterFailureMs = 50

/** What arrived and is not executed yet. */
let writes: WriteOperation[] = []
let reads: ReadOperation[] = []
let closing = false
let closed = false

function report(message: Report, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

function start(): void {
  const db = openFile(setup.path, storeSchema, {
    synchronous: setup.synchronous,
    openTimeoutMs,
    busyTimeoutMs: 0,
    pageSize,
    checkpointPages,
  })
  const store = new Store(db, {
    path: setup.path,
    synchronous: setup.synchronous,
    busyTimeoutMs: setup.busyTimeoutMs,
    whileLocked: () => {
      drain()
      answerReads()
    },
  })
  const wakeFiles = new WakeFiles(setup.wakeFolder, () => {
    report({ kind: 'wake', wake: null })
    if (!store.groups.hasMembers) return
    tellMembers()
    planTick()
  })
  const checkpoints = new Checkpoints(setup)
  let timer: NodeJS.Timeout | undefined
  /** Not before this is the groups' next tick, after one that failed for want of space or of the lock. */
  let pauseUntil = 0

  function take(message: Turn | 'close'): void {
    if (message === 'close') {
      closing = true
      return
    }
    for (const [index, memory] of message.slabs) store.slabs.set(index, new Uint8Array(memory))
    for (const index of message.dropped) store.slabs.delete(index)
    writes.push(...message.writes)
    reads.push(...message.reads)
  }

  function drain(): void {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
      take(next.message)
  }

  function answerReads(): void {
    if (reads.length === 0) return
    const operations = reads
    reads = []
    const answers = store.read(operations)
    report({ kind: 'answers', lane: 'reads', answers, wake: null }, memoryOf(operations, answers))
  }

  /** Whoever waited for the lock of another process has taken what came meanwhile: no message tells of that any more. */
  function work(): void {
    workOff()
    if (closing && !closed) void close()
  }

  function workOff(): void {
    answerReads()
    // More may have come while another process held the lock.
    while (writes.length > 0 || msToTick() <= 0) execute()
    answerReads()
    planTick()
  }

  function execute(): void {
    // With whatever else there is to do: a timer may not find a moment between.
    const tick = msToTick() <= 0
    const operations = writes
    writes = []
    const { answers, bytes, wake, wakeOthers, tellMembers: tell } = store.write(operations, tick)
    if (answers.length > 0 || wake !== null)
      report({ kind: 'answers', lane: 'writes', answers, wake }, memoryOf(operations, answers))
    // The system may have dropped what it could not write, and call the next sync a success: the thread ends, and with
    // it everything that would be promised.
    if (store.broken) throw new Error(`a sync failed (${store.broken.native}); open the engine again`)
    if (tell) tellMembers()
    if (wakeOthers) wakeFiles.touch()
    checkpoints.wrote(bytes)
    if (tick && msToTick() <= 0) pauseTick()
  }

  function tellMembers(): void {
    try {
      const notices = store.tell()
      if (notices.length > 0) report({ kind: 'notices', notices })
    } catch {
      // The file could not be read now: they are told after the next tick.
      store.groups.nextTick = 0
      pauseTick()
    }
  }

  function pauseTick(): void {
    pauseUntil = performance.now() + afterFailureMs
  }

  function msToTick(): number {
    if (!store.groups.hasMembers) return Number.POSITIVE_INFINITY
    return Math.max(store.groups.nextTick, pauseUntil) - performance.now()
  }

  function planTick(): void {
    clearTimeout(timer)
    if (store.groups.hasMembers) timer = setTimeout(work, Math.min(Math.ceil(msToTick()), longestTimerMs))
  }

  /** Step by step, and whoever asks for something meanwhile comes in between. */
  function retain(): void {
    const more = retainStep()
    work()
    nextStep = more && !closing ? setImmediate(retain) : undefined
  }

  function retainStep(): boolean {
    try {
      if (!store.retains) return false
      const step = store.write([{ kind: 'retain' }], false).answers[0]!
      checkpoints.wrote(0)
      if (store.broken) throw new Error(`a sync failed (${store.broken.native}); open the engine again`)
      return 'ok' in step && step.ok === true
    } catch (thrown) {
      // Nobody asked for it, and it comes round again.
      if (store.broken) throw thrown
      return false
    }
  }
  let nextStep: NodeJS.Immediate | undefined
  const retaining = setInterval(() => {
    if (nextStep === undefined) retain()
  }, setup.retentionEveryMs)

  port.on('message', (message: Turn | 'close') => {
    take(message)
    drain()
    work()
  })

  async function close(): Promise<void> {
    closed = true
    clearTimeout(timer)
    clearInterval(retaining)
    clearImmediate(nextStep)
    wakeFiles.close()
    await checkpoints.close()
    db.close()
    // Nothing is left that keeps this thread: it ends.
    port.close()
  }

  report({
    kind: 'opened',
    journalMode: String(pragma(db, 'journal_mode')),
    synchronous: Number(pragma(db, 'synchronous')),
    fullFsync: Number(pragma(db, 'fullfsync')),
  })
}

/** The memory that can be handed over instead of being copied: what was made for these answers alone. */
function memoryOf(operations: readonly { kind: string }[], answers: readonly Answer[]): ArrayBuffer[] {
  const memory = new Set<ArrayBuffer>()
  for (const [index, answer] of answers.entries()) {
    if ('failure' in answer) continue
    const kind = operations[index]!.kind
    const parts =
      kind === 'claim'
        ? (answer.ok as { claimed: { data: Uint8Array }[] }).claimed
        : kind === 'read' || kind === 'readKey'
          ? (answer.ok as { data: Uint8Array }[])
          : []
    for (const part of parts) memory.add(part.data.buffer as ArrayBuffer)
  }
  return [...memory]
}

try {
  start()
} catch (thrown) {
  report({ kind: 'refused', failure: failureOf(thrown, setup.path) })
}

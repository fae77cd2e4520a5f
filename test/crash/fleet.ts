// The worker processes of a run: started, killed with `kill -9` and started again, stopped for a while, ended in the end.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Random } from './random.ts'
import { hush, type Word, type WorkerSpec } from './worker/spec.ts'

const program = fileURLToPath(new URL('./worker/main.ts', import.meta.url))
/** How long a worker may take to say a word, and to end. */
const patienceMs = 60_000
/** After so many workers that ended by themselves the run is over. */
const tooMany = 20

type Plan = Omit<WorkerSpec, 'seed'>

export class Worker {
  readonly plan: Plan
  /** While it is being killed or ended: its end is no surprise. */
  ending = false
  child!: ChildProcess
  #heard = new Set<Word>()

  constructor(plan: Plan) {
    this.plan = plan
  }

  get log(): string {
    return join(this.plan.folder, `${this.plan.name}.log`)
  }

  start(seed: number, onSurprise: (how: string) => void): void {
    this.ending = false
    this.#heard = new Set()
    const log = openSync(this.log, 'a')
    const spec: WorkerSpec = { ...this.plan, seed }
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', program, JSON.stringify(spec)],
      {
        stdio: ['ignore', log, log, 'ipc'],
        env: { NODE_COMPILE_CACHE: join(this.plan.folder, 'compiled'), ...process.env },
      },
    )
    closeSync(log)
    this.child = child
    child.on('message', (word) => this.#heard.add(word as Word))
    child.once('exit', (code, signal) => {
      if (!this.ending)
        onSurprise(`${this.plan.name} ended by itself (${signal ?? `code ${code}`}):\n${this.#tail()}`)
    })
  }

  get gone(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Resolves where its planted fault is wrong, or soon: not every fault has such a place. */
  async inGap(): Promise<void> {
    this.#heard.delete('gap')
    await this.says('gap', 2_000)
  }

  /** False when it did not say the word in time, or ended. */
  async says(word: Word, ms: number = patienceMs): Promise<boolean> {
    for (const end = Date.now() + ms; Date.now() < end && !this.gone; await delay(20))
      if (this.#heard.has(word)) return true
    return this.#heard.has(word)
  }

  async kill(): Promise<void> {
    this.ending = true
    if (this.gone) return
    const exit = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exit
  }

  /**
   * Stops it where it is, and lets it go on after a time. A shell does it, so that the process goes on also when we
   * are killed in between.
   */
  async pause(ms: number): Promise<void> {
    const { pid } = this.child
    const script = `kill -STOP ${pid} && sleep ${ms / 1000}; kill -CONT ${pid}`
    await once(spawn('/bin/sh', ['-c', script], { stdio: 'ignore' }), 'exit')
  }

  hush(): void {
    this.child.send(hush)
  }

  /** SIGTERM; false when it did not end in time, or not well. */
  async end(): Promise<boolean> {
    this.ending = true
    if (!this.gone) {
      const exit = once(this.child, 'exit').then(() => true)
      this.child.kill('SIGTERM')
      if (!(await Promise.race([exit, delay(patienceMs, false, { ref: false })]))) await this.kill()
    }
    return this.child.exitCode === 0
  }

  #tail(): string {
    return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-12).join('\n')
  }
}

export class Fleet {
  readonly workers: readonly Worker[]
  /** What should not have happened: workers that ended by themselves, or did not end when asked to. */
  readonly surprises: string[] = []
  readonly #random: Random

  constructor(plans: readonly Plan[], random: Random) {
    this.workers = plans.map((plan) => new Worker(plan))
    this.#random = random
  }

  async start(): Promise<void> {
    // The first one compiles for all.
    const [first, ...others] = this.workers
    this.#start(first!)
    await first!.says('ready')
    for (const worker of others) this.#start(worker)
    await this.#all('ready')
  }

  /** Kills workers at once, and starts each again a moment later. */
  async kill(workers: readonly Worker[]): Promise<void> {
    const pauses = workers.map(() => this.#random.between(0, 300))
    await Promise.all(
      workers.map(async (worker, index) => {
        await worker.kill()
        await delay(pauses[index])
        this.#start(worker)
      }),
    )
  }

  /** Resolves when all are at work. */
  ready(): Promise<void> {
    return this.#all('ready')
  }

  /** Resolves when every sender has its acknowledgements; everything else goes on. */
  async hush(): Promise<void> {
    await this.ready()
    for (const worker of this.workers) if (!worker.gone) worker.hush()
    await this.#all('quiet')
  }

  async end(): Promise<void> {
    const ends = await Promise.all(this.workers.map((worker) => worker.end()))
    for (const [index, well] of ends.entries())
      if (!well) this.surprises.push(`${this.workers[index]!.plan.name} did not end when it was told to`)
  }

  /** Ends whatever is left, however it is. */
  async destroy(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()))
  }

  #start(worker: Worker): void {
    const surprise = (what: string) => {
      this.surprises.push(what)
      if (this.surprises.length < tooMany) this.#start(worker)
    }
    worker.start(this.#random.between(1, 2 ** 31), surprise)
  }

  async #all(word: Word): Promise<void> {
    const said = await Promise.all(this.workers.map((worker) => worker.says(word)))
    for (const [index, yes] of said.entries())
      if (!yes) this.surprises.push(`${this.workers[index]!.plan.name} never was ${word}`)
  }
}

/** Turns a recipe into a running server: its folder, ports and log, when it is ready, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { chownSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { type Guard, guard } from './guard.ts'
import type { RunningServer, StartOptions } from './launcher.ts'
import { gone, killTree, signal } from './process-tree.ts'
import type { Place, Recipe } from './recipe.ts'

const STOP_MS = 10_000
const PROBE_MS = 5_000
const ADDRESS_TAKEN = /address (is )?already in use|could not bind|failed to bind/i

export async function launch(recipe: Recipe, options: StartOptions = {}): Promise<RunningServer> {
  for (let attempt = 1; ; attempt++) {
    const server = new Server(recipe, options.startMs ?? 60_000, await freePort(), await freePort())
    try {
      await recipe.prepare(server.place)
      await server.boot()
      return server
    } catch (error) {
      const taken = ADDRESS_TAKEN.test(server.log())
      await server.stop()
      if (!taken || attempt === 3) throw error
    }
  }
}

class Server implements RunningServer {
  readonly url: string
  readonly folder: string
  readonly place: Place
  version = ''
  readonly #recipe: Recipe
  readonly #startMs: number
  readonly #guard: Guard
  #child: ChildProcess | undefined
  #stopped: Promise<void> | undefined

  constructor(recipe: Recipe, startMs: number, port: number, innerPort: number) {
    this.#recipe = recipe
    this.#startMs = startMs
    this.folder = mkdtempSync(join(tmpdir(), `spillway-${recipe.name}-`))
    this.#guard = guard(this.folder, recipe.stopSignal)
    this.place = { folder: this.folder, data: join(this.folder, 'data'), port, innerPort }
    mkdirSync(this.place.data, { mode: 0o700 })
    if (recipe.account !== undefined) {
      for (const folder of [this.folder, this.place.data])
        chownSync(folder, recipe.account.uid, recipe.account.gid)
    }
    this.url = recipe.url(this.place)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  async boot(): Promise<void> {
    const end = performance.now() + this.#startMs
    const child = this.#spawn()
    for (let last: unknown; ; await delay(20)) {
      if (this.#child !== child) {
        throw this.#failure(
          `ended before it was ready (${child.exitCode ?? child.signalCode ?? 'not started'})`,
          last,
        )
      }
      if (performance.now() > end) {
        await this.kill()
        throw this.#failure(`was not ready within ${this.#startMs} ms`, last)
      }
      try {
        const tooSlow = delay(PROBE_MS, undefined, { ref: false }).then(() => {
          throw new Error(`No answer within ${PROBE_MS} ms`)
        })
        this.version = await Promise.race([this.#recipe.probe(this.place), tooSlow])
        // Unless it was another server that answered, one that had the port before ours.
        if (this.#child === child) return
      } catch (error) {
        last = error
      }
    }
  }

  async restart(): Promise<void> {
    if (this.#stopped !== undefined) throw new Error(`${this.#recipe.name} was stopped and its data are gone`)
    await this.#end()
    await this.boot()
  }

  async kill(): Promise<void> {
    const pid = this.#child?.pid
    if (pid === undefined) return
    await killTree(pid)
    this.#forget(this.#child)
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#end()
      .then(() => this.#recipe.sweep?.(this.place))
      .finally(() => this.#guard.close())
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  log(): string {
    try {
      return readFileSync(join(this.folder, 'server.log'), 'utf8')
    } catch {
      return ''
    }
  }

  async #end(): Promise<void> {
    const pid = this.#child?.pid
    if (pid === undefined) return
    signal(pid, this.#recipe.stopSignal)
    if (!(await gone([pid], STOP_MS))) await killTree(pid)
    this.#forget(this.#child)
  }

  #spawn(): ChildProcess {
    const [program, ...args] = this.#recipe.command(this.place)
    // A file and not a pipe: the log never blocks the server, and is there however the server ended.
    const log = openSync(join(this.folder, 'server.log'), 'a')
    const child = spawn(program, args, {
      ...this.#recipe.account,
      cwd: this.folder,
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.#child = child
    this.#guard.watch(child.pid ?? 0)
    child.once('error', () => this.#forget(child))
    child.once('exit', () => this.#forget(child))
    // A test that forgets to stop its server still ends, and the guard ends the server.
    child.unref()
    return child
  }

  #forget(child: ChildProcess | undefined): void {
    if (child === undefined || this.#child !== child) return
    this.#child = undefined
    this.#guard.watch(0)
  }

  #failure(what: string, cause: unknown): Error {
    const tail = this.log().trimEnd().split('\n').slice(-40).join('\n')
    return new Error(`${this.#recipe.name} ${what}. The end of its log:\n${tail || '(empty)'}`, { cause })
  }
}

// Processes that are killed between the 202 and the run, and in the middle of a run: nothing that was promised is lost, and no effect comes twice.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { embeddedPostgres, type RunningServer } from '../servers/index.ts'
import { type DeferProcess, effectsFile, journalFile } from './defer-process.ts'

const program = fileURLToPath(new URL('./defer-process.ts', import.meta.url))
const running = new Set<ChildProcess>()
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-defer-killed-'))
})
afterEach(async () => {
  await Promise.all([...running].map(kill))
  rmSync(folder, { recursive: true, force: true })
})

/** Resolves when it is up, with what it said: the port of a door. */
async function start(told: DeferProcess): Promise<{ readonly child: ChildProcess; readonly said: number }> {
  const child = fork(program, [JSON.stringify(told)], { execArgv: [] })
  running.add(child)
  const [said] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`it ended with ${code}`))),
  ])
  return { child, said }
}

async function kill(child: ChildProcess): Promise<void> {
  running.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** Of a worker that kills itself. */
async function ended({ child }: { readonly child: ChildProcess }): Promise<unknown> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  running.delete(child)
  return child.signalCode
}

interface Told {
  readonly status: string
  readonly location: string
  readonly result?: { readonly status: number; readonly body: string }
}

const order = (port: number, user: string, body: string) =>
  fetch(`http://127.0.0.1:${port}/orders`, {
    method: 'POST',
    headers: { 'x-user': user, 'idempotency-key': body },
    body,
  })

async function putOff(port: number, user: string, body: string): Promise<Told> {
  const response = await order(port, user, body)
  expect(response.status).toBe(202)
  return (await response.json()) as Told
}

async function stateOf(port: number, user: string, { location }: Told): Promise<Told> {
  const response = await fetch(`http://127.0.0.1:${port}${location}`, { headers: { 'x-user': user } })
  return (await response.json()) as Told
}

const missing = await embeddedPostgres.missing()
let server: RunningServer | undefined
beforeAll(async () => {
  if (missing === undefined) server = await embeddedPostgres.start()
}, 120_000)
afterAll(() => server?.stop())

describe.each([
  { name: 'SQLite', missing: undefined, engine: () => `sqlite:${join(folder, 'queue')}` },
  { name: 'PostgreSQL', missing, engine: () => server!.url },
])('on $name', ({ missing, engine }) => {
  test.skipIf(missing)('what was put off is done, whoever is killed', { timeout: 120_000 }, async () => {
    const common = { engine: engine(), folder }
    const door = await start({ ...common, role: 'door' })
    for (const user of ['ann', 'bob']) expect((await order(door.said, user, `${user}-0`)).status).toBe(200)
    const put: [string, string, Told][] = []
    for (const [user, body] of ['ann-1', 'bob-1', 'ann-2', 'ann-3'].map((each) => [each.slice(0, 3), each]))
      put.push([user!, body!, await putOff(door.said, user!, body!)])
    await kill(door.child)
    const hasty = await start({ ...common, role: 'door', expires: '100ms' })
    const expired = await putOff(hasty.said, 'cat', 'cat-1')
    await vi.waitFor(async () => expect((await stateOf(hasty.said, 'cat', expired)).status).toBe('expired'), {
      timeout: 20_000,
    })
    await kill(hasty.child)

    for (const dies of ['before the effect', 'after the effect'] as const)
      expect(await ended(await start({ ...common, role: 'worker', dies }))).toBe('SIGKILL')
    const later = await start({ ...common, role: 'door' })
    await start({ ...common, role: 'worker' })
    await vi.waitFor(
      async () => {
        for (const [user, body, told] of put)
          expect(await stateOf(later.said, user, told)).toMatchObject({
            status: 'done',
            result: { status: 201, body: `made of ${body}` },
          })
      },
      { timeout: 60_000, interval: 100 },
    )
    // Asked again with its key after all that, it is still the same, and done.
    expect((await order(later.said, 'ann', 'ann-0')).status).toBe(200)
    expect(await putOff(later.said, 'ann', 'ann-3')).toMatchObject({ ...put[3]![2], status: 'done' })
    expect((await stateOf(later.said, 'cat', expired)).status).toBe('expired')

    const runs = readFileSync(join(folder, journalFile), 'utf8').trimEnd().split('\n')
    const db = new DatabaseSync(join(folder, effectsFile))
    const effects = db.prepare('SELECT id, body FROM effects').all()
    db.close()
    const bodies = put.map(([, body]) => body)
    // Who was killed in the middle ran again, under the same id: so his effect came once.
    expect(runs.length).toBeGreaterThanOrEqual(bodies.length + 2)
    expect(new Set(runs).size).toBe(bodies.length)
    expect(effects.map(({ body }) => body).toSorted()).toEqual(bodies.toSorted())
    expect(effects.map(({ id, body }) => `${id} ${body}`).toSorted()).toEqual([...new Set(runs)].toSorted())
    const anns = [...new Set(runs)]
      .map((run) => run.slice(run.indexOf(' ') + 1))
      .filter((body) => body.startsWith('ann'))
    expect(anns).toEqual(['ann-1', 'ann-2', 'ann-3'])
  })
})

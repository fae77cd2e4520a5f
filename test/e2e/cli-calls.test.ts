// What a running process thinks of those that it calls: asked and told from the command line, and measured for Prometheus.
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { always, http, ScriptedServer } from '../call/scripted-server.ts'
import { freePort } from '../servers/free-port.ts'
import { command, type RunningCommand, startCommand } from './spillway-process.ts'

let folder: string
let inventory: ScriptedServer
let up: RunningCommand
let at: string
let metrics: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-calls-'))
  inventory = await ScriptedServer.start(always(http(200, { left: 7 })))
  await writeFile(
    join(folder, 'spillway.config.ts'),
    `
    import { call, context, service, topology, unchecked } from ${JSON.stringify(resolve('src/index.ts'))}
    const ask = { input: unchecked(), output: unchecked() }
    const inventory = context('inventory', { calls: { stockOf: call(ask) } })
    const shop = context('shop', { calls: { stock: call(ask) } })
    const answers = service(shop).answer(shop.calls.stock, async (input, context) => {
      const result = await context.call(inventory.calls.stockOf, input, { fallback: { left: 0 } })
      return result.status === 'ok' ? { ...result.value, fallback: result.fallback === true } : result.status
    })
    export default topology({ contexts: [answers, inventory], engine: 'sqlite:./data', addresses: { inventory: ['${inventory.address}'] } })
    `,
  )
  const [port, metricsPort] = [await freePort(), await freePort()]
  at = `http://127.0.0.1:${port}`
  metrics = `http://127.0.0.1:${metricsPort}/metrics`
  up = startCommand(folder, 'up', '--listen', at, '--metrics', String(metricsPort))
  await up.wrote('up; stop')
})

afterAll(async () => {
  up.child.kill('SIGTERM')
  const { code, err } = await up.said
  expect([code, err]).toEqual([0, ''])
  await inventory[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function stock(): Promise<unknown> {
  const response = await fetch(`${at}/calls/shop.stock/1`, {
    method: 'POST',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  })
  return response.json()
}
const calls = (...args: readonly string[]) => command(folder, 'calls', ...args)
const sockets = () => join(folder, `spillway-${process.getuid!()}`)

test('contexts are listed, held open, and given back', async () => {
  expect((await calls('ls')).out).toContain(`Nobody was called yet by process ${up.child.pid}.`)
  expect(await stock()).toEqual({ left: 7, fallback: false })
  expect((await calls('ls')).out).toMatch(
    /PROCESS +CONTEXT +BREAKER .*\n\d+ +inventory +closed +1 +0 +0 +0 .* 1 of 1 well\n$/,
  )
  expect((await calls('force', 'inventory', 'open')).out).toBe(
    'inventory is open. It is called no more, until told otherwise.\n',
  )
  expect(await stock()).toEqual({ left: 0, fallback: true })
  const [listed] = JSON.parse((await calls('ls', '--json')).out)
  expect(listed).toMatchObject({
    process: String(up.child.pid),
    context: 'inventory',
    breaker: { state: 'open', forced: 'open', refused: 1 },
  })
  expect((await calls('force', 'inventory', 'auto')).out).toContain('judges by itself')
  expect(await stock()).toEqual({ left: 7, fallback: false })
})

test('metrics in the text of Prometheus', async () => {
  const text = await (await fetch(metrics)).text()
  expect(text).toMatch(
    /spillway_calls_total\{context="inventory",call="inventory.stockOf",version="1",outcome="ok"[^}]*\} 2/,
  )
  expect(text).toMatch(/spillway_calls_total\{[^}]*outcome="failed",reason="BREAKER_OPEN"[^}]*\} 1/)
  expect(text).toMatch(/spillway_breaker_state\{context="inventory"[^}]*\} [01]/)
  expect(text).toMatch(/spillway_call_duration_bucket\{/)
})

test('what is wrong is said', async () => {
  expect(await calls('force', 'inventory', 'ajar')).toMatchObject({ code: 2 })
  const unknown = await calls('force', 'nobody', 'open')
  expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('it called inventory') })
  const nowhere = await calls('ls', '--at', '1')
  expect(nowhere).toMatchObject({ code: 1, err: expect.stringMatching(/No process answers at .*spillway-/) })
  const elsewhere = await mkdtemp(join(folder, 'empty-'))
  expect(await command(elsewhere, 'calls', 'ls')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/No process .*--control/s),
  })
})

test('the port of the calls tells nothing of breakers, and the socket is its owner’s alone', async () => {
  for (const path of ['/breakers', '/breakers/inventory'])
    for (const method of ['GET', 'POST']) expect((await fetch(`${at}${path}`, { method })).status).toBe(404)
  expect((await stat(sockets())).mode & 0o777).toBe(0o700)
  expect((await stat(join(sockets(), `${up.child.pid}.sock`))).mode & 0o777).toBe(0o600)
})

test('of several processes one is named; a socket of one that was killed is passed over, and replaced', async () => {
  const control = join(folder, 'other.sock')
  const start = async (...args: readonly string[]) => {
    const started = startCommand(folder, 'up', '--engine', 'sqlite:./other', ...args)
    await started.wrote('up; stop')
    return started
  }
  const killed = await start('--control', control)
  killed.child.kill('SIGKILL')
  await killed.said
  const other = await start('--control', control)
  expect((await calls('ls', '--at', control)).out).toBe(`Nobody was called yet by process ${control}.\n`)
  const taken = await command(folder, 'up', '--engine', 'sqlite:./third', '--control', control)
  expect(taken).toMatchObject({ code: 1, err: expect.stringContaining('cannot be looked after at') })
  other.child.kill('SIGTERM')
  expect(await other.said).toMatchObject({ code: 0, err: '' })
  expect(await readdir(folder)).not.toContain('other.sock')

  const second = await start()
  const several = await calls('force', 'inventory', 'open')
  expect(several).toMatchObject({
    code: 1,
    err: expect.stringMatching(/Several processes run here: \d+, \d+/),
  })
  expect((await calls('force', 'inventory', 'auto', '--at', String(up.child.pid))).code).toBe(0)
  second.child.kill('SIGKILL')
  await second.said
  expect(await readdir(sockets())).toContain(`${second.child.pid}.sock`)
  expect((await calls('force', 'inventory', 'auto')).code).toBe(0)
})

test('a folder that others may enter is not used', async () => {
  const open = await mkdtemp(join(tmpdir(), 'spillway-open-'))
  await mkdir(join(open, `spillway-${process.getuid!()}`), { mode: 0o755 })
  const started = startCommand(
    open,
    'up',
    '-c',
    join(folder, 'spillway.config.ts'),
    '--engine',
    'sqlite:./data',
  )
  await started.wrote('up; stop')
  expect(await readdir(join(open, `spillway-${process.getuid!()}`))).toEqual([])
  started.child.kill('SIGTERM')
  expect(await started.said).toMatchObject({
    code: 0,
    err: expect.stringMatching(/warning: spillway calls cannot ask .* open to other users; see --control/),
  })
  await rm(open, { recursive: true })
})

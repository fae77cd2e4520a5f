// What a running process thinks of those that it calls: asked and told from the command line, and measured for Prometheus.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
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
const calls = (...args: readonly string[]) => command(folder, 'calls', ...args, '--at', at)

test('contexts are listed, held open, and given back', async () => {
  expect((await calls('ls')).out).toContain('has called nobody yet')
  expect(await stock()).toEqual({ left: 7, fallback: false })
  expect((await calls('ls')).out).toMatch(
    /CONTEXT +BREAKER .*\ninventory +closed +1 +0 +0 +0 .* 1 of 1 well\n$/,
  )
  expect((await calls('force', 'inventory', 'open')).out).toBe(
    'inventory is open. It is called no more, until told otherwise.\n',
  )
  expect(await stock()).toEqual({ left: 0, fallback: true })
  const [listed] = JSON.parse((await calls('ls', '--json')).out)
  expect(listed).toMatchObject({
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
  const nowhere = await command(folder, 'calls', 'ls', '--at', 'http://127.0.0.1:1')
  expect(nowhere).toMatchObject({ code: 1, err: expect.stringMatching(/No process answers .*--listen/) })
})

test('no page of a browser, nobody through a proxy, and no other host asks for breakers', async () => {
  const asked = async (headers: Record<string, string>) => (await fetch(`${at}/breakers`, { headers })).status
  expect(await asked({})).toBe(200)
  expect(await asked({ origin: 'http://evil.example' })).toBe(403)
  expect(await asked({ 'x-forwarded-for': '10.0.0.1' })).toBe(403)
})

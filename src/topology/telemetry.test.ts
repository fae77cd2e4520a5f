// Traces and metrics of calls: what goes along with a request, and that nothing is loaded for it where nobody can be called.
import { execFile } from 'node:child_process'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { propagation } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { call } from '../core/call-contract.ts'
import { context } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import { memory } from '../testing/memory/engine.ts'
import { run } from './run.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const inventory = context('inventory', {
  calls: { stockOf: call({ input: unchecked<string>(), output: unchecked<number>() }) },
})

test('where the program traces, its own span goes along', async () => {
  const asked: IncomingMessage[] = []
  const server = createServer((request, response) => {
    asked.push(request)
    response.setHeader('content-type', 'application/json').end('7')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const addresses = { inventory: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`] }
  const shop = service(context('shop', {}))
  const wired = topology({ contexts: [shop, inventory], engine: 'memory:', addresses })
  propagation.setGlobalPropagator({
    inject: (_, carrier, setter) => setter.set(carrier, 'traceparent', '00-of-the-span'),
    extract: (within) => within,
    fields: () => ['traceparent'],
  })
  try {
    await using running = await run(wired, { engine: memory() })
    const { calls } = inventory
    expect(await running.service(shop).call(calls.stockOf, 'shirt')).toEqual({ status: 'ok', value: 7 })
  } finally {
    propagation.disable()
    server.close()
  }
  expect(asked.map(({ headers }) => headers.traceparent)).toEqual(['00-of-the-span'])
})

const program = `
  import { registerHooks } from 'node:module'
  const loaded = new Set()
  registerHooks({
    resolve(specifier, within, next) {
      if (specifier.includes('opentelemetry')) loaded.add(specifier)
      return next(specifier, within)
    },
  })
  const { context, run, service, topology } = await import(${JSON.stringify(new URL('../index.ts', import.meta.url).href)})
  const { memory } = await import(${JSON.stringify(new URL('../testing/memory/engine.ts', import.meta.url).href)})
  await import(${JSON.stringify(new URL('../cli/program.ts', import.meta.url).href)})
  const contexts = [service(context('shop', {}))]
  for (const addresses of [{}, { inventory: ['http://127.0.0.1:1'] }]) {
    const running = await run(topology({ contexts, engine: 'memory:', addresses }), { engine: memory() })
    await running.stop()
    console.log([...loaded].join())
  }
`

test('where nobody can be called, it is not loaded', async () => {
  const args = ['--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 })
  expect(stdout).toBe('\n@opentelemetry/api\n')
}, 60_000)

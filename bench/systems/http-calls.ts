// Calls over HTTP to a server in a process of its own: Spillway's, and what is as bare as it gets. Who measures and who answers share the machine.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Pool } from 'undici'
import { CallClient } from '../../src/call/client/client.ts'
import { callTelemetry } from '../../src/call/client/telemetry.ts'
import { call, context, unchecked } from '../../src/index.ts'
import type { BenchCalls, CallSystem } from './system.ts'

export const stock = context('stock', {
  calls: {
    of: call({ input: unchecked<Input>(), output: unchecked<{ pieces: number }>() }),
    take: call({ kind: 'command', input: unchecked<Input>(), output: unchecked<{ pieces: number }>() }),
  },
})

export interface Input {
  readonly product: string
  readonly pieces: number
}

/** Who answers: `bare` does at once; `commits` after a row of its own; `spillway` as a service that commits that row. */
export type Answering = 'bare' | 'commits' | 'spillway'

const input: Input = { product: 'a bowl of blue glass', pieces: 3 }
/** As many as a bulkhead lets through. */
const connections = 50

async function serve(answering: Answering, folder: string): Promise<{ url: string; server: ChildProcess }> {
  const server = fork(`${import.meta.dirname}/http-server.ts`, [answering, folder], {
    execArgv: ['--no-warnings'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const [url] = (await once(server, 'message')) as [string]
  return { url, server }
}

function spillway(kind: 'of' | 'take', answering: Answering): CallSystem {
  return {
    async open(folder) {
      const { url, server } = await serve(answering, folder)
      // As in a running service, where nobody has set up an SDK.
      const client = new CallClient({
        addressesOf: () => [url],
        onEnded: (ended) => telemetry.ended(ended),
        inject: (headers) => telemetry.inject(headers),
      })
      const telemetry = callTelemetry(client)
      const contract = stock.calls[kind]
      const ask = async () => {
        const result = await client.call<
          Input,
          Input,
          { pieces: number },
          { pieces: number },
          object & Record<never, never>
        >(contract, input, {}, { caller: 'bench' })
        if (result.status !== 'ok') throw new Error(result.status, { cause: result.error })
      }
      const around =
        kind === 'of'
          ? 'breaker, bulkhead, retry budget, deadline'
          : 'the same, and an answer stored under a key with the row, synced at their commit'
      return calls(kind, `${around}: unchecked schemas, 1 instance`, ask, async () => {
        await client.close()
        server.kill()
      })
    },
  }
}

function bare(kind: 'of' | 'take', answering: Answering): CallSystem {
  return {
    async open(folder) {
      const { url, server } = await serve(answering, folder)
      const pool = new Pool(url, { connections, pipelining: 1, allowH2: false })
      const ask = async () => {
        const { statusCode, body } = await pool.request({
          method: 'POST',
          path: `/calls/stock.${kind}/1`,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(input),
        })
        await body.json()
        if (statusCode !== 200) throw new Error(`${statusCode}`)
      }
      const durable =
        kind === 'of' ? '' : '; its row is synced at its commit, journal_mode=WAL, synchronous=FULL'
      return calls(kind, `nothing: a request of undici, its answer parsed${durable}`, ask, async () => {
        await pool.close()
        server.kill()
      })
    },
  }
}

function calls(
  kind: 'of' | 'take',
  durability: string,
  ask: () => Promise<void>,
  close: () => Promise<void>,
): BenchCalls {
  return kind === 'of' ? { durability, query: ask, close } : { durability, command: ask, close }
}

export const spillwayQuery: CallSystem = spillway('of', 'bare')
export const bareQuery: CallSystem = bare('of', 'bare')
export const spillwayCommand: CallSystem = spillway('take', 'spillway')
export const bareCommand: CallSystem = bare('take', 'commits')

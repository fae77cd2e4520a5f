// The process that answers the calls of the bench: its arguments are how, and a folder. It says where to its parent, and lives as long as that.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import { run, service, topology } from '../../src/index.ts'
import { memory } from '../../src/testing/index.ts'
import { type Answering, type Input, stock } from './http-calls.ts'

process.on('disconnect', () => process.exit())
const [answering, folder = '.'] = process.argv.slice(2) as [Answering, string?]
const table = 'CREATE TABLE IF NOT EXISTS taken (product TEXT NOT NULL, pieces INTEGER NOT NULL)'
const insert = 'INSERT INTO taken VALUES (?, ?)'

async function spillway(): Promise<string> {
  let statement: StatementSync
  const setup = (db: DatabaseSync) => {
    db.exec(table)
    statement = db.prepare(insert)
  }
  const database = sqliteDatabase(join(folder, 'stock.db'), { setup })
  const owner = service(stock, { database })
    .answer(stock.calls.of, ({ pieces }) => ({ pieces }))
    .answer(stock.calls.take, ({ product, pieces }, { commit }) =>
      commit(() => {
        statement.run(product, pieces)
        return { pieces }
      }),
    )
  const running = await run(topology({ contexts: [owner], engine: 'memory:' }), { engine: memory() })
  return running.address!
}

/** Each request reads its body, commits one row where it is to, synced, and answers. */
async function bare(commits: boolean): Promise<string> {
  const db = new DatabaseSync(join(folder, 'bare.db'))
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${table}`)
  const statement = db.prepare(insert)
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { product, pieces } = JSON.parse(Buffer.concat(chunks).toString()) as Input
      if (commits) statement.run(product, pieces)
      const body = JSON.stringify({ pieces })
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      })
      response.end(body)
    })
  }
  const server = createServer({ keepAliveTimeout: 75_000 }, answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

process.send!(answering === 'spillway' ? await spillway() : await bare(answering === 'commits'))

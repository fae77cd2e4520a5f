// A service that stores what it receives, in the folder that it is given. With a third argument it is killed the moment it has saved messages and
// is about to say so to their engine (`saved`), or has said so before anything is saved (`unsaved`: the fault that the test is to notice).
// Usage: office.ts <folder> [saved | unsaved]
import { join } from 'node:path'
import { unchecked } from '../../src/core/schema.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/database.ts'
import { sqlite } from '../../src/engines/sqlite/engine.ts'
import { context, queue, run, service, topology } from '../../src/index.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { QueuePort } from '../../src/ports/queue.ts'

export const office = context('office', { queues: { file: queue({ data: unchecked<string>() }) } })

/** `settle` and `claim` of a real port, changed; all else as it is. */
function changed(engine: Engine, change: (port: QueuePort) => Partial<QueuePort>): Engine {
  const port = engine.queue!
  const changes = change(port)
  const queue = new Proxy(port, {
    get(target, name) {
      const value = changes[name as keyof QueuePort] ?? Reflect.get(target, name, target)
      return typeof value === 'function' && !(name in changes) ? value.bind(target) : value
    },
  })
  return { ...engine, queue, close: () => engine.close() }
}

const die = (): never => {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('killed')
}

const faults: Readonly<Record<string, (port: QueuePort) => Partial<QueuePort>>> = {
  saved: () => ({ settle: async () => die() }),
  unsaved: (port) => ({
    async claim(name, options) {
      const found = await port.claim(name, options)
      if (found.length === 0) return found
      await port.settle(
        name,
        found.map(({ lease }) => ({ lease, kind: 'done' })),
      )
      return die()
    },
  }),
}

export async function start(folder: string, fault = '') {
  const real = await sqlite({ path: join(folder, 'broker') })
  const engine = faults[fault] === undefined ? real : changed(real, faults[fault])
  const database = sqliteDatabase(join(folder, 'office.db'), {
    setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS done (text TEXT)'),
  })
  const offices = service(office, { database, inbox: { mode: 'store' }, lease: '1s' }).work(
    office.queues.file,
    ({ data }, { commit }) => commit(({ db }) => db.prepare('INSERT INTO done (text) VALUES (?)').run(data)),
  )
  const running = await run(topology({ contexts: [offices], engine: 'sqlite:unused' }), { engine })
  const done = () =>
    running
      .service(offices)
      .database!.db.prepare('SELECT text FROM done ORDER BY text')
      .all()
      .map(({ text }) => String(text))
  return { running, done, close: () => running.stop().then(() => real.close()) }
}

if (import.meta.main) await start(process.argv[2]!, process.argv[3])

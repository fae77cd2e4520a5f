// A worker process: opens the engine, plays its role until it is told to stop, or is killed.
import { flushCompileCache } from 'node:module'
import { openEngine, type Report } from '../../../src/index.ts'
import { seeded } from '../random.ts'
import { plantInEngine } from './faults.ts'
import { probe } from './probe.ts'
import { appendReadings, placeOrders, sendJobs } from './senders.ts'
import { audit, dispatch, intake, ledger } from './services.ts'
import { type Setting, settingOf, type Work } from './setting.ts'
import { business, delivery, relay } from './shop.ts'
import { hush, type Role, type Word, type WorkerSpec } from './spec.ts'

const spec = JSON.parse(process.argv[2]!) as WorkerSpec
// Nobody is left to stop us when the harness is gone.
const orphaned = () => process.exit(0)
process.on('disconnect', orphaned)

const open = async () => plantInEngine(await openEngine(spec.url), spec.plant)
const engine = await open()
const second = spec.role === 'probe' ? await open() : undefined
const onReport = ({ from, error }: Report) => console.error(`${from}: ${error.message}`)
const setting = settingOf(spec, engine, seeded(spec.seed), onReport)
const starts: Readonly<Record<Role, (setting: Setting) => Promise<Work>>> = {
  jobs: sendJobs,
  orders: placeOrders,
  meter: appendReadings,
  intake,
  dispatch,
  ledger,
  audit,
  business,
  relay,
  delivery,
  probe: (setting) => probe(setting, second!),
}
const work = await starts[spec.role](setting)
const say = (word: Word) => process.send!(word)

process.on('message', (word) => {
  if (word === hush) void work.hush().then(() => say('quiet'))
})
process.on('SIGTERM', () => {
  void (async () => {
    await work.stop()
    await Promise.all([engine.close(), second?.close()])
    // The process must end by itself now: what keeps it alive was not let go.
    process.off('disconnect', orphaned)
    process.disconnect()
  })()
})
say('ready')
// A process that is killed would not write it.
flushCompileCache()

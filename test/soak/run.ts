// Runs the load on an engine for a time and takes samples. At times somebody's transaction is left open: a fifth of the time, in nine parts,
// so that every third of the run has as many.
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openEngine } from '../../src/engine-of.ts'
import { Load, type LoadOptions } from './load.ts'
import { type Store, storeOf } from './store.ts'
import { judge, type Sample, type Verdict } from './verdict.ts'

export interface SoakOptions {
  /** `sqlite:./folder` or `postgres://…`: its schema `spillway` is used, and should be empty. */
  readonly engine: string
  readonly ms: number
  readonly everyMs: number
  /** Messages a second. */
  readonly rate: number
  /** When a transaction is open elsewhere. Default: at times. */
  readonly hold?: 'never' | 'at times' | 'always'
  /** What has to be full when the first third is over. Default: for minutes. */
  readonly keep?: LoadOptions['keep']
  readonly onSample?: (sample: Sample) => void
}

export interface Soak extends Verdict {
  readonly samples: readonly Sample[]
}

const holds = 9
const heldShare = 0.2

export async function soak(options: SoakOptions): Promise<Soak> {
  const { ms, everyMs, rate, onSample, keep = { bytes: '4000KB', finished: 2_000 } } = options
  const engine = await openEngine(options.engine)
  const store = storeOf(options.engine, 'spillway')
  const load = new Load(engine, { rate, burstEveryMs: ms / holds, keep })
  const samples: Sample[] = []
  const from = performance.now()
  const holding = new AbortController()
  try {
    await load.start()
    const held = hold(store, options, holding.signal)
    // Told at the end, when it is waited for.
    held.catch(() => {})
    while (performance.now() - from < ms && !load.failed) {
      await delay(everyMs)
      collectGarbage()
      const { rss, heapUsed, external } = process.memoryUsage()
      const sample: Sample = {
        atMs: performance.now() - from,
        ...(await store.sizes()),
        backlog: await load.backlog(),
        claimMs: load.takeClaimMs(),
        idleMs: await load.idle(),
        rss,
        heap: heapUsed + external,
        handled: load.handled,
      }
      samples.push(sample)
      onSample?.(sample)
    }
    holding.abort()
    await held
    await load.stop()
  } finally {
    holding.abort()
    await load.stop().catch(() => {})
    await store.close()
    await engine.close()
  }
  return { ...judge(samples), samples }
}

async function hold(
  store: Store,
  { ms, hold: when = 'at times' }: SoakOptions,
  over: AbortSignal,
): Promise<void> {
  const wait = (time: number) => delay(time, undefined, { signal: over }).catch(() => {})
  const [open, pause] =
    when === 'always' ? [ms * 2, 0] : [(ms / holds) * heldShare, (ms / holds) * (1 - heldShare)]
  while (!over.aborted && when !== 'never') {
    await wait(pause)
    const end = await store.hold()
    await wait(open)
    await end()
  }
}

/** Node hides it behind a flag, which can be set while it runs. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
}

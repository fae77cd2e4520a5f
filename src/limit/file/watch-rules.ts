// Hot reload: rules follow their file, as soon as it is whole and right.
import { type Clock, systemClock } from '../../core/clock.ts'
import { type Duration, milliseconds } from '../../core/duration.ts'
import { asSpillwayError, type SpillwayError } from '../../core/errors.ts'
import { checkOptions } from '../../core/known-options.ts'
import type { Rules } from '../rule/rule.ts'
import { readText } from './load-rules.ts'
import { parseRules } from './parse-rules.ts'

export interface WatchRulesOptions {
  /** How often the file is looked at. Default 1 s. A change is taken when two looks found the same: half a file is not. */
  readonly every?: Duration
  /** The rules of the file are in force. */
  readonly onReload?: () => void
  /** The file cannot be read, or not be taken: the rules from before stay. Told once for each content. */
  readonly onRefused?: (error: SpillwayError) => void
  readonly clock?: Clock
}

export interface WatchedRules extends Disposable {
  /** Stops looking; the rules stay in force. */
  close(): void
}

/** What takes other rules, or throws INVALID_RULE: `limits()` and `sharedLimits()`. */
export interface Reloadable {
  reload(rules: Rules): void
}

/**
 * Puts the rules of a file in force whenever it has changed: all of them, or none. Looks at its content, not at its time, so that files that are
 * replaced, linked or mounted are followed too. Does not keep the process alive.
 */
export function watchRules(path: string, limits: Reloadable, options: WatchRulesOptions = {}): WatchedRules {
  checkOptions('watchRules', options, { every: true, onReload: true, onRefused: true, clock: true })
  const everyMs = Math.max(1, milliseconds(options.every ?? '1s', 'watchRules.every'))
  const { clock = systemClock } = options
  let closed = false
  let cancel = () => {}
  /** What was found last, and what was dealt with. */
  let seen: string | undefined
  let done: string | undefined

  async function look(): Promise<void> {
    const found = await readText(path).catch(asSpillwayError)
    // A file that is being replaced is not there for a moment: that is told only when it lasts.
    const key = typeof found === 'string' ? `text ${found}` : `error ${found.message}`
    const stable = key === seen
    seen = key
    if (closed || !stable || key === done) return
    done = key
    if (typeof found !== 'string') {
      options.onRefused?.(found)
      return
    }
    try {
      const rules = await parseRules(found, path)
      if (closed) return
      limits.reload(rules)
    } catch (thrown) {
      options.onRefused?.(asSpillwayError(thrown))
      return
    }
    options.onReload?.()
  }

  const next = (): void => {
    if (!closed)
      cancel = clock.after(everyMs, () => {
        void look().finally(next)
      })
  }
  const close = () => {
    closed = true
    cancel()
  }
  void look().finally(next)
  return { close, [Symbol.dispose]: close }
}

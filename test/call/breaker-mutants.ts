// Faults planted in the breaker, as changes of its text: what compares it with the model must find each of them.
import type { Mutant } from './planted.ts'

export const mutants: readonly Mutant[] = [
  {
    name: 'it closes after one trial',
    file: 'breaker.ts',
    find: 'if (this.#wentWell < this.rules.trials) return',
    replace: '',
  },
  {
    name: 'a cancelled call counts as a failure',
    file: 'breaker.ts',
    find: "if (ending === 'cancelled') {",
    replace: "if (ending === 'cancelled') ending = 'failed'\n    if (permit === undefined) {",
  },
  {
    name: 'a cancelled call counts as a success',
    file: 'breaker.ts',
    find: "if (ending === 'cancelled') {",
    replace: "if (ending === 'cancelled') ending = 'succeeded'\n    if (permit === undefined) {",
  },
  {
    name: 'a call may say twice how it ended',
    file: 'breaker.ts',
    find: 'if (this.#ended) return',
    replace: '',
  },
  {
    name: 'a trial that fails does not open it again',
    file: 'breaker.ts',
    find: 'if (failed || slow) {',
    replace: 'if (slow) {',
  },
  {
    name: 'a slow trial passes for a good one',
    file: 'breaker.ts',
    find: 'if (failed || slow) {',
    replace: 'if (failed) {',
  },
  {
    name: 'a call from before a change of state counts',
    file: 'breaker.ts',
    find: 'if (permit.generation !== this.#generation) return',
    replace: '',
  },
  {
    name: 'a trial that never ends keeps its place',
    file: 'breaker.ts',
    find: 'nowMs - oldest.startedMs >= this.rules.trialTimeoutMs',
    replace: 'nowMs < 0',
  },
  {
    name: 'a cancelled trial keeps its place',
    file: 'breaker.ts',
    find: 'if (this.#trials.delete(permit)) this.#wake()',
    replace: '',
  },
  {
    name: 'any number of trials at the same time',
    file: 'breaker.ts',
    find: 'this.#trials.size + this.#wentWell < this.rules.trials',
    replace: 'this.#wentWell < this.rules.trials',
  },
  {
    name: 'it never opens again by itself once it was forced',
    file: 'breaker.ts',
    find: 'this.#forced = forced\n',
    replace: "this.#forced = forced === 'auto' ? 'closed' : forced\n",
  },
  {
    name: 'it opens although it is forced closed',
    file: 'breaker.ts',
    find: "if (this.#forced !== 'auto') return",
    replace: '',
  },
  {
    name: 'the time that it stays open does not grow',
    file: 'breaker-rules.ts',
    find: '2 ** Math.min(opening - 1, 52)',
    replace: '1',
  },
  {
    name: 'the time that it stays open has no bound',
    file: 'breaker-rules.ts',
    find: 'Math.min(rules.openForMaxMs, rules.openForMs * 2 ** Math.min(opening - 1, 52))',
    replace: 'rules.openForMs * 2 ** Math.min(opening - 1, 52)',
  },
  {
    name: 'what opens again soon after its trials begins anew',
    file: 'breaker.ts',
    find: "this.#state === 'half-open' || nowMs - this.#closedMs < this.rules.windowMs",
    replace: "this.#state === 'half-open'",
  },
  {
    name: 'few calls are enough to open it',
    file: 'breaker-rules.ts',
    find: 'if (counts.calls < rules.minimumCalls) return undefined',
    replace: '',
  },
  {
    name: 'a rate that is just reached does not open it',
    file: 'breaker-rules.ts',
    find: 'counts.failed / counts.calls >= rules.failureRate',
    replace: 'counts.failed / counts.calls > rules.failureRate',
  },
  {
    name: 'slow calls do not count',
    file: 'breaker-rules.ts',
    find: "if (counts.slow / counts.calls >= rules.slowRate) return 'slow calls'",
    replace: '',
  },
  {
    name: 'the window never slides',
    file: 'breaker-window.ts',
    find: 'this.slide(nowMs)\n',
    replace: 'if (this.#newest < 0) this.#newest = 0\n',
  },
  {
    name: 'the window slides by one bucket, however long nobody called',
    file: 'breaker-window.ts',
    find: 'if (newest - this.#newest >= buckets) this.clear()\n    else for (let bucket = this.#newest + 1; bucket <= newest; bucket++) this.#empty(bucket % buckets)',
    replace: 'this.#empty(newest % buckets)',
  },
  {
    name: 'the window is not emptied when it closes',
    file: 'breaker.ts',
    find: "if (to === 'closed') this.#window.clear()",
    replace: '',
  },
]

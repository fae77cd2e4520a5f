// Faults planted in the fetching of payloads, as changes of its text: the histories must find each of them.

export interface Mutant {
  readonly name: string
  /** Of src/pointer. */
  readonly file: 'fetcher.ts' | 'want.ts' | 'cache.ts' | 'answer.ts'
  /** Stands there exactly once. */
  readonly find: string
  readonly replace: string
}

export const mutants: readonly Mutant[] = [
  {
    name: 'an older version is taken for the one that is wanted',
    file: 'want.ts',
    find: 'if (waiter.version <= version) content.push(waiter)',
    replace: 'if (waiter.version <= version + 1) content.push(waiter)',
  },
  {
    name: 'the cache answers for later versions',
    file: 'cache.ts',
    find: 'entry.version < version',
    replace: 'entry.version + 1 < version',
  },
  {
    name: 'the cache keeps things for ever',
    file: 'cache.ts',
    find: 'this.#clock.elapsed() - entry.at < this.#rules.keptMs',
    replace: 'entry.at >= 0',
  },
  {
    name: 'nothing is cached',
    file: 'cache.ts',
    find: 'this.#entries.set(key, { current, version, at: this.#clock.elapsed() })',
    replace: '',
  },
  {
    name: 'gone is believed at once',
    file: 'want.ts',
    find: 'now - waiter.goneSince >= goneForMs',
    replace: 'now >= waiter.goneSince',
  },
  {
    name: 'gone is never believed without its version',
    file: 'want.ts',
    find: 'if (isOld || now - waiter.goneSince >= goneForMs)',
    replace: 'if (waiter.goneSince < 0)',
  },
  {
    name: 'gone is taken for an answer by who came after the request had left',
    file: 'want.ts',
    find: 'else if (waiter.asked) {\n        waiter.goneSince ??=',
    replace: 'else {\n        waiter.goneSince ??=',
  },
  {
    name: 'every one who waits asks',
    file: 'fetcher.ts',
    find: 'const known = this.#wants.get(key)',
    replace: 'const known = this.#wants.get(key.toUpperCase())',
  },
  {
    name: 'batches have no bound',
    file: 'fetcher.ts',
    find: 'this.#queue.splice(0, this.#most)',
    replace: 'this.#queue.splice(0)',
  },
  {
    name: 'requests have no bound',
    file: 'fetcher.ts',
    find: 'const mostRequests = 2',
    replace: 'const mostRequests = 9',
  },
  {
    name: 'an owner that is away is asked again at once',
    file: 'fetcher.ts',
    find: 'await sleep(this.#clock, pauseAfter(this.#failures), signal)',
    replace: '',
  },
  {
    name: 'what is not yet there is asked for again at once',
    file: 'fetcher.ts',
    find: 'bound * (0.5 + 0.5 * this.#random())',
    replace: '0 * bound',
  },
  {
    name: 'who came while the request was away is forgotten',
    file: 'fetcher.ts',
    find: 'else if (want.isNew) this.#again(want)',
    replace: 'else if (want.isNew) return',
  },
  {
    name: 'after an outage it is not asked again',
    file: 'fetcher.ts',
    find: 'this.#isAway = false\n    this.#send()',
    replace: 'this.#send()',
  },
  {
    name: 'an input that is refused is asked for again',
    file: 'answer.ts',
    find: "ownMatters.has(error.code) ? 'refused' : 'away'",
    replace: "'away'",
  },
]

// Promises of any kind: also queries that begin when they are awaited.

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

/** Begins when it is awaited, and not before. */
export function onceAwaited<Value>(begin: () => Promise<Value>): PromiseLike<Value> {
  // biome-ignore lint/suspicious/noThenProperty: what it stands for is a thenable
  return { then: (resolve, reject) => begin().then(resolve, reject) }
}

// Ending several things: each gets its turn, whatever became of the others.

/** Waits for all, then rejects with the first failure. */
export async function atOnce(ends: readonly Promise<unknown>[]): Promise<void> {
  for (const end of await Promise.allSettled(ends)) if (end.status === 'rejected') throw end.reason
}

/** Does one after the other, then rejects with the first failure. */
export async function inTurn(...steps: readonly (() => unknown)[]): Promise<void> {
  const ends: Promise<unknown>[] = []
  for (const step of steps) {
    const end = (async () => step())()
    ends.push(end)
    await end.catch(() => {})
  }
  await atOnce(ends)
}

import { expect, test } from 'vitest'
import { SpillwayError } from '../../core/errors.ts'
import { GroupCommit } from './group-commit.ts'

const weigh = (): number => 1

test('calls made while a statement is in flight go together as the next one, in their order', async () => {
  const statements: number[][] = []
  const gates: (() => void)[] = []
  const group = new GroupCommit<number, number>({
    run: async (calls) => {
      statements.push([...calls])
      await new Promise<void>((resolve) => gates.push(resolve))
      return calls.map((call) => call * 10)
    },
    weigh,
  })
  const first = group.submit(1)
  await expect.poll(() => gates.length).toBe(1)
  const others = [2, 3, 4].map((call) => group.submit(call))
  gates[0]?.()
  expect(await first).toBe(10)
  await expect.poll(() => gates.length).toBe(2)
  gates[1]?.()
  expect(await Promise.all(others)).toEqual([20, 30, 40])
  expect(statements).toEqual([[1], [2, 3, 4]])
})

test('a call that the server refuses fails alone', async () => {
  const group = new GroupCommit<number, number>({
    run: async (calls) => {
      if (calls.includes(3)) throw new SpillwayError('ENGINE_FAILED', 'no threes.')
      return [...calls]
    },
    weigh,
  })
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map((call) => group.submit(call)))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
})

test('when the outcome is unknown nothing is tried again', async () => {
  let runs = 0
  const group = new GroupCommit<number, number>({
    run: async () => {
      runs += 1
      throw new SpillwayError('ENGINE_UNAVAILABLE', 'gone.')
    },
    weigh,
  })
  const outcomes = await Promise.allSettled([group.submit(1), group.submit(2)])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(runs).toBe(1)
})

test('what waits is bounded, and a statement too', async () => {
  const sizes: number[] = []
  const group = new GroupCommit<number, number>({
    run: async (calls) => {
      sizes.push(calls.length)
      return [...calls]
    },
    weigh: (megabytes) => megabytes * 2 ** 20,
  })
  const accepted = Array.from({ length: 64 }, () => group.submit(1))
  await expect(group.submit(1)).rejects.toMatchObject({ code: 'BACKLOG_FULL', retryable: true })
  await Promise.all(accepted)
  expect(Math.max(...sizes)).toBe(4)
  expect(await group.submit(100)).toBe(100)
})

test('closing waits for what was accepted and refuses what comes after', async () => {
  const group = new GroupCommit<number, number>({ run: async (calls) => [...calls], weigh })
  const accepted = group.submit(1)
  const closing = group.close()
  await expect(group.submit(2)).rejects.toMatchObject({ code: 'CLOSED' })
  await closing
  expect(await accepted).toBe(1)
})

test('a call that no statement could carry is refused at once, and does not wait with the others', async () => {
  const group = new GroupCommit<number, number>({ run: async (calls) => calls, weigh: (call) => call })
  const large = group.submit(300 * 2 ** 20)
  await expect(large).rejects.toMatchObject({ code: 'TOO_LARGE', retryable: false })
  expect(await group.submit(200 * 2 ** 20)).toBe(200 * 2 ** 20)
})

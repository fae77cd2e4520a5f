import { expect, test } from 'vitest'
import { Places } from './places.ts'

test('so many are under way at a time, first come, first served, and a place that fails is free', async () => {
  const places = new Places(2, 60_000)
  const begun: number[] = []
  const ends: ((fails: boolean) => void)[] = []
  const all = [0, 1, 2, 3].map((index) =>
    places.use(async () => {
      begun.push(index)
      if (await new Promise<boolean>((resolve) => ends.push(resolve))) throw new Error('fails')
      return index
    }),
  )
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  expect(begun).toEqual([0, 1])
  ends[1]!(true)
  await expect(all[1]).rejects.toThrow('fails')
  await turn()
  expect(begun).toEqual([0, 1, 2])
  ends[0]!(false)
  await turn()
  expect(begun).toEqual([0, 1, 2, 3])
  for (const end of ends.slice(2)) end(false)
  expect(await Promise.all([all[0], all[2], all[3]])).toEqual([0, 2, 3])
})

test('who has waited as long as he may is told so, and takes no place later', async () => {
  const places = new Places(1, 10)
  let end = () => {}
  const first = places.use(() => new Promise<void>((resolve) => (end = resolve)))
  await expect(places.use(async () => 'never')).rejects.toThrow('nothing was sent for 10 ms')
  end()
  await first
  expect(await places.use(async () => 'now')).toBe('now')
})

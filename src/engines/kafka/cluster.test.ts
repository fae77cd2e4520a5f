// Asking the leader of partitions: a broker that hangs is not waited for once others lead.
import * as client from '@platformatic/kafka'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Cluster } from './cluster.ts'

const parts = [
  { stream: 's', partition: 0 },
  { stream: 's', partition: 1 },
]
let leaders: number[]
let asked: number
let cluster: Cluster

beforeEach(() => {
  vi.useFakeTimers()
  leaders = [7, 7]
  asked = 0
  cluster = new Cluster(client, [], { clientId: 'test', connectTimeoutMs: 1000, timeoutMs: 15_000 })
  const topic = () => ({ name: 's', leaders, replicas: [] })
  cluster.known = topic
  cluster.refresh = async () => {
    asked++
    return topic()
  }
})
afterEach(() => void vi.useRealTimers())

test('an answer that comes in time costs no question', async () => {
  const answer = new Promise((resolve) => setTimeout(resolve, 5500, 'answer'))
  const led = cluster.fromLeader(7, parts, answer, 5000)
  await vi.advanceTimersByTimeAsync(6000)
  expect(await led).toBe('answer')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked).toBe(0)
})

test('a late one is waited for as long as the broker leads one of the partitions', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const led = cluster.fromLeader(7, parts, promise, 0)
  await vi.advanceTimersByTimeAsync(3000)
  leaders = [8, 7]
  await vi.advanceTimersByTimeAsync(20_000)
  expect(asked).toBeGreaterThan(5)
  resolve('late')
  expect(await led).toBe('late')
})

test('and no longer: what was asked for may have been done, and others can be asked', async () => {
  const led = cluster.fromLeader(7, parts, new Promise(() => {}), 0)
  led.catch(() => {})
  await vi.advanceTimersByTimeAsync(3000)
  leaders = [8, -1]
  await vi.advanceTimersByTimeAsync(3000)
  await expect(led).rejects.toMatchObject({ id: 'NETWORK', passing: true, ambiguous: true })
})

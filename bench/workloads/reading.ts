// How many events a second are read from the start of a stream and decoded.
import type { BenchStream } from '../systems/system.ts'
import { fill } from './writing.ts'

/** Reads all of a stream of `count` events again and again, at least for the seconds asked for. */
export async function readRate(stream: BenchStream, count: number, seconds: number): Promise<number> {
  await fill((payloads) => stream.appendMany(payloads), count)
  await readAll(stream, count)
  const start = performance.now()
  let events = 0
  do {
    await readAll(stream, count)
    events += count
  } while (performance.now() - start < seconds * 1000)
  return events / ((performance.now() - start) / 1000)
}

async function readAll(stream: BenchStream, count: number): Promise<void> {
  let read = 0
  let bytes = 0
  await stream.read!((payload) => {
    read++
    bytes += payload.text.length
  }, count)
  if (read !== count || bytes === 0) throw new Error(`${count} events were appended, ${read} were read`)
}

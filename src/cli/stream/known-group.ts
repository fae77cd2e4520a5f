// The group that a command names: what a slip of the finger names would wait in a log of its own for members that never come.
import type { StreamPort } from '../../ports/stream.ts'
import { UsageError } from '../usage.ts'

/** Throws UNKNOWN_STREAM, and UsageError for a group that the stream does not have. */
export async function requireGroup(port: StreamPort, stream: string, group: string): Promise<void> {
  await port.bounds(stream)
  const names = await port.groups(stream)
  if (names.includes(group)) return
  const there = names.length === 0 ? 'It has none.' : `It has ${names.join(', ')}.`
  throw new UsageError(`The stream ${stream} has no group ${group}. ${there} Nothing was done.`)
}

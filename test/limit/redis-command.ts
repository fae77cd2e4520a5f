// One command to a Redis server, past the engine.
import { createClient } from '@redis/client'
import type { RunningServer } from '../servers/index.ts'

export async function command(server: RunningServer, ...args: string[]): Promise<unknown> {
  const client = await createClient({ url: server.url })
    .on('error', () => {})
    .connect()
  try {
    return await client.sendCommand(args)
  } finally {
    client.destroy()
  }
}

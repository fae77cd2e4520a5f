// What all systems on Redis need: an empty server to start with, and what the server promises.
import { createClient } from '@redis/client'

export async function flush(url: string): Promise<void> {
  const client = await createClient({ url }).connect()
  await client.flushAll('SYNC')
  await client.close()
}

export async function durabilityOf(url: string): Promise<string> {
  const client = await createClient({ url }).connect()
  const settings = await client.configGet(['appendonly', 'appendfsync'])
  await client.close()
  const { appendonly, appendfsync } = settings
  if (appendonly !== 'yes') return 'none: appendonly=no, memory only, a restart loses everything'
  if (appendfsync === 'always') return 'power-loss: appendonly=yes, appendfsync=always'
  return `weaker than power-loss: appendonly=yes, appendfsync=${appendfsync}`
}

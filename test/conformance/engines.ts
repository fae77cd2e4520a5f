// The real engines by name, so that this process and a distant member open the same one.
import type { Engine, EngineOptions } from '../../src/ports/engine.ts'

export type EngineAddress =
  | { readonly engine: 'sqlite'; readonly path: string }
  | { readonly engine: 'postgres'; readonly url: string; readonly listen?: boolean }
  | { readonly engine: 'kafka'; readonly url: string }
  | { readonly engine: 'nats'; readonly url: string }
  | { readonly engine: 'redis'; readonly url: string }

/** Soon: the cases wait for it. */
const retentionEveryMs = 200

/** Loads only the engine that is asked for: the other's client need not be there. */
export async function openAt(address: EngineAddress, options: EngineOptions = {}): Promise<Engine> {
  switch (address.engine) {
    case 'sqlite': {
      const { sqlite } = await import('../../src/engines/sqlite/engine.ts')
      return sqlite({ path: address.path, retentionEveryMs, ...options })
    }
    case 'postgres': {
      const { postgres } = await import('../../src/engines/postgres/engine.ts')
      const { url, listen = true } = address
      return postgres({ url, listen, retentionEveryMs, ...options })
    }
    case 'kafka': {
      const { kafka } = await import('../../src/engines/kafka/engine.ts')
      return kafka({ url: address.url, topicConfig: { 'segment.ms': '2000' }, ...options })
    }
    case 'nats': {
      const { nats } = await import('../../src/engines/nats/engine.ts')
      return nats({ url: address.url, ...options })
    }
    case 'redis': {
      const { redis } = await import('../../src/engines/redis/engine.ts')
      return redis({ url: address.url, timeoutMs: 10_000, ...options })
    }
  }
}

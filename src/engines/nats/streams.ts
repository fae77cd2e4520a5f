// The streams that exist on the server, as far as this process has heard of them.
import { SpillwayError } from '../../core/errors.ts'
import { limitsOf, type Retention } from '../../ports/retention.ts'
import type { StreamSpec } from '../../ports/stream.ts'
import type { Api, Config, StreamInfo } from './api.ts'
import type { Declaring } from './declaring.ts'
import type { Names, StreamNames } from './names.ts'
import { requireWhole } from './options.ts'

/** Room for a few messages, however large: a server refuses one that is larger than all it may keep. */
const leastBytes = 16 * 1024 * 1024

export interface KnownStream {
  readonly name: string
  readonly partitions: number
  readonly names: StreamNames
}

export class Streams {
  readonly #api: Api
  readonly #declaring: Declaring
  readonly #names: Names
  readonly #seen: (what: string, info: StreamInfo) => void
  readonly #known = new Map<string, KnownStream>()

  constructor(api: Api, declaring: Declaring, names: Names, seen: (what: string, info: StreamInfo) => void) {
    this.#api = api
    this.#declaring = declaring
    this.#names = names
    this.#seen = seen
  }

  async declare({ name, partitions, retention }: StreamSpec): Promise<KnownStream> {
    requireWhole('partitions', partitions, 1)
    const limits = retention && this.#limits(retention)
    const names = this.#names.stream(name)
    // First what belongs to it: whoever sees the stream can use it.
    await this.#declaring.declare({
      name: names.groups,
      subjects: [`${names.groupsBase}.>`],
      retention: 'limits',
      max_msgs_per_subject: 1,
      ...this.#declaring.base(false),
    })
    const info = await this.#declaring.declare({
      name: names.stream,
      subjects: Array.from({ length: partitions }, (_, partition) => `${names.base}.${partition}`),
      retention: 'limits',
      ...this.#declaring.base(true),
      ...limits,
    })
    return this.#learn(name, limits ? await this.#declaring.change(info, limits) : info)
  }

  /** In the server's words; none is -1 for bytes and 0 for age. Ids of messages are remembered for no longer than messages are kept. */
  #limits(retention: Retention): Config {
    const { maxAgeMs, maxBytes } = limitsOf('nats', { compaction: false }, retention)
    const age = maxAgeMs === null ? 0 : Math.max(maxAgeMs, this.#declaring.idsMs)
    return {
      max_age: age * 1_000_000,
      max_bytes: maxBytes === null ? -1 : Math.max(maxBytes, leastBytes),
    }
  }

  known(name: string): KnownStream | undefined {
    return this.#known.get(name)
  }

  /** Asks the server unless it is known; UNKNOWN_STREAM when there is none. */
  async get(name: string): Promise<KnownStream> {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const info = await this.#api.streamInfo(this.#names.stream(name).stream)
    if (info === undefined) throw unknown(name)
    return this.#learn(name, info)
  }

  /** Rejects with UNKNOWN_STREAM when the server does not have it any more. */
  async check(name: string): Promise<void> {
    this.#known.delete(name)
    await this.get(name)
  }

  #learn(name: string, info: StreamInfo): KnownStream {
    const stream = { name, partitions: info.config.subjects.length, names: this.#names.stream(name) }
    this.#known.set(name, stream)
    this.#seen(`the stream ${name}`, info)
    return stream
  }
}

function unknown(name: string): SpillwayError {
  return new SpillwayError('UNKNOWN_STREAM', `There is no stream '${name}' on this NATS server.`, {
    engine: 'nats',
    details: { stream: name },
  })
}

// Making streams on the server, and comparing what it says it stored with what was asked for: an old server drops
// settings that it does not know, in silence.
import { isDeepStrictEqual } from 'node:util'
import { SpillwayError } from '../../core/errors.ts'
import type { Api, Config, StreamInfo } from './api.ts'
import { apiCode, Fault, isFault } from './errors.ts'

export interface StoreOptions {
  /** Copies of everything: 1, 3 or 5. Default: three in a cluster, else one. */
  readonly replicas?: number | undefined
  /** Settings for the NATS streams behind queues and streams that are made, by JetStream's names: `{ max_age: … }`. */
  readonly streamConfig?: Readonly<Record<string, unknown>> | undefined
}

export type Asked = Config & { readonly name: string; readonly subjects: readonly string[] }

const nanoseconds = 1_000_000

export class Declaring {
  readonly #api: Api
  readonly #options: StoreOptions

  constructor(api: Api, options: StoreOptions) {
    this.#api = api
    this.#options = options
  }

  get replicas(): number {
    return this.#options.replicas ?? (this.#api.link.info.cluster === undefined ? 1 : 3)
  }

  /** The server has atomic batches. */
  get batches(): boolean {
    return this.#api.link.atLeast(2, 12)
  }

  /** For how long the server knows the ids of messages: as long as we ask again. */
  get idsMs(): number {
    return this.#api.timeoutMs + 5_000
  }

  /** What every stream is asked for. `user`: with the user's own settings. */
  base(user: boolean): Config {
    return {
      storage: 'file',
      num_replicas: this.replicas,
      duplicate_window: this.idsMs * nanoseconds,
      ...(user ? this.#options.streamConfig : {}),
    }
  }

  /** Makes the stream unless it is there. `retention` and `storage` of one that is there must fit. */
  async declare(asked: Asked): Promise<StreamInfo> {
    for (let attempt = 1; ; attempt++) {
      const found = await this.#api.streamInfo(asked.name)
      if (found !== undefined) {
        checkFits(asked, found)
        return found
      }
      try {
        const made = await this.#api.createStream(asked)
        await this.#checkEcho(asked, made)
        return made
      } catch (thrown) {
        const beaten = isFault(thrown, apiCode.streamNameInUse) || isFault(thrown, apiCode.subjectsOverlap)
        if (beaten && attempt < 5) continue
        throw unfit(asked.name, thrown)
      }
    }
  }

  /** Gives a stream that is there other settings, unless it has them. */
  async change(found: StreamInfo, wanted: Config): Promise<StreamInfo> {
    const has = (config: Config) =>
      Object.entries(wanted).every(([name, value]) => isDeepStrictEqual(config[name], value))
    if (has(found.config)) return found
    try {
      const changed = await this.#api.updateStream({ ...found.config, ...wanted })
      if (has(changed.config)) return changed
    } catch (thrown) {
      throw unfit(found.config.name, thrown)
    }
    throw new SpillwayError(
      'CONFIGURATION',
      `The NATS server (${this.#api.link.info.version}) did not take ${JSON.stringify(wanted)} for ${found.config.name}.`,
      { engine: 'nats' },
    )
  }

  async #checkEcho(asked: Asked, made: StreamInfo): Promise<void> {
    for (const [name, value] of Object.entries(asked)) {
      if (isDeepStrictEqual(made.config[name], value)) continue
      // It was made just now, and is empty.
      if (made.state.messages === 0) await this.#api.deleteStream(asked.name)
      throw new SpillwayError(
        'CONFIGURATION',
        `The NATS server (${this.#api.link.info.version}) did not take ${name}=${JSON.stringify(value)} for ${asked.name}: it says ${JSON.stringify(made.config[name]) ?? 'nothing'}. The stream was not kept.`,
        { engine: 'nats' },
      )
    }
  }
}

function checkFits(asked: Asked, found: StreamInfo): void {
  for (const name of ['retention', 'max_msgs_per_subject'] as const) {
    const ours = asked[name]
    const theirs = found.config[name]
    if (ours === undefined || ours === theirs) continue
    throw new SpillwayError(
      'CONFIGURATION',
      `The NATS stream ${asked.name} has ${name}=${theirs}; Spillway needs ${ours}. Was it made by something else?`,
      { engine: 'nats' },
    )
  }
}

function unfit(name: string, thrown: unknown): unknown {
  if (!(thrown instanceof Fault) || thrown.kind !== 'API') return thrown
  const replicas = thrown.code === apiCode.noReplicasOnOneServer || thrown.code === apiCode.noSuitablePeers
  if (thrown.passing && !replicas) return thrown
  const hint = replicas ? ' Set `replicas` to what the cluster can place.' : ''
  return new SpillwayError(
    'CONFIGURATION',
    `NATS does not make the stream ${name}: ${thrown.message}.${hint}`,
    {
      engine: 'nats',
      cause: thrown,
    },
  )
}

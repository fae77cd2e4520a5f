// What is known of the cluster (brokers, leaders) and the links to it. Everything that retries, retries through here.
import { systemClock } from '../../core/clock.ts'
import type { Client } from './client.ts'
import { closedError, Fault } from './errors.ts'
import { type Address, Link, type LinkOptions } from './link.ts'

export interface ClusterOptions extends LinkOptions {
  /** How long a call goes on trying when the cluster does not serve it. */
  readonly timeoutMs: number
}

export interface Topic {
  readonly name: string
  /** By partition: the node that leads it, or -1. */
  readonly leaders: readonly number[]
  readonly replicas: readonly (readonly number[])[]
}

export interface TopicPartition {
  readonly stream: string
  readonly partition: number
}

/** How long the leader of partitions may be silent before we ask whether it still is. */
const leaderMs = 2000

/** Links with the same purpose to the same broker are shared: what one of them asks may delay the others. */
export type Purpose = 'control' | 'produce' | 'group' | 'commit'

/** After how long without an answer a link is given up: a broker may take its time for some requests. */
const patienceMs = { control: 5000, group: 3000, commit: 7000 } as const

export class Cluster {
  readonly client: Client
  readonly options: ClusterOptions
  readonly #seeds: readonly Address[]
  readonly #links = new Map<string, Promise<Link>>()
  /** All that are open or being opened. */
  readonly #open = new Set<Link>()
  readonly #topics = new Map<string, Topic>()
  readonly #refreshing = new Map<string, Promise<Topic>>()
  readonly #closing = new AbortController()
  #brokers: ReadonlyMap<number, Address> = new Map()
  #controller = -1
  /** Rises with every broker that failed to answer, so that the next question goes to another. */
  #turn = 0

  constructor(client: Client, seeds: readonly Address[], options: ClusterOptions) {
    this.client = client
    this.#seeds = seeds
    this.options = options
  }

  get closing(): AbortSignal {
    return this.#closing.signal
  }

  get brokers(): ReadonlyMap<number, Address> {
    return this.#brokers
  }

  get controller(): number {
    return this.#controller
  }

  /** The topic as last seen; undefined when it never was. */
  known(name: string): Topic | undefined {
    return this.#topics.get(name)
  }

  async topic(name: string): Promise<Topic> {
    return this.#topics.get(name) ?? (await this.current(name))
  }

  /** The topic as it is now: partitions may have been added. */
  async current(name: string): Promise<Topic> {
    return await this.persist(() => this.refresh(name), 3)
  }

  /** The node that leads the partition, as last seen. */
  leader(name: string, partition: number): number {
    const leader = this.#topics.get(name)?.leaders[partition] ?? -1
    if (leader < 0) throw new Fault('LEADER_NOT_AVAILABLE', `${name}/${partition} has no leader`)
    return leader
  }

  /** Asks the cluster; UNKNOWN_TOPIC_OR_PARTITION when there is no such topic. Concurrent calls share one request. */
  refresh(name: string): Promise<Topic> {
    let running = this.#refreshing.get(name)
    if (running === undefined) {
      running = this.#askTopic(name).finally(() => this.#refreshing.delete(name))
      this.#refreshing.set(name, running)
    }
    return running
  }

  async #askTopic(name: string): Promise<Topic> {
    const found = (await this.#metadata([name])).find((topic) => topic.name === name)
    if (found === undefined || found.errorCode === 3) {
      this.#topics.delete(name)
      throw new Fault('UNKNOWN_TOPIC_OR_PARTITION', `there is no topic ${name}`)
    }
    this.check(found.errorCode)
    const leaders: number[] = []
    const replicas: number[][] = []
    for (const { partitionIndex, leaderId, replicaNodes } of found.partitions) {
      leaders[partitionIndex] = leaderId
      replicas[partitionIndex] = replicaNodes
    }
    const topic = { name, leaders, replicas }
    this.#topics.set(name, topic)
    return topic
  }

  /** Learns which brokers there are. */
  async discover(): Promise<void> {
    await this.#metadata([])
  }

  async #metadata(topics: string[]) {
    const link = await this.any()
    const answer = await link
      .call(this.client.metadataV10.api, topics, false, false, false)
      .catch((thrown) => {
        this.#turn++
        throw thrown
      })
    this.#brokers = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
    this.#controller = answer.controllerId
    return answer.topics
  }

  /** A control link to any broker that answers. */
  async any(): Promise<Link> {
    let last: unknown
    const nodes = [...this.#brokers.keys()]
    for (const index of nodes.keys()) {
      try {
        return await this.link('control', nodes[(index + this.#turn) % nodes.length]!)
      } catch (thrown) {
        if (this.closing.aborted) throw thrown
        last = thrown
      }
    }
    for (const seed of this.#seeds) {
      try {
        return await this.#shared(`seed ${seed.host}:${seed.port}`, seed, patienceMs.control)
      } catch (thrown) {
        if (this.closing.aborted) throw thrown
        last = thrown
      }
    }
    throw last
  }

  async link(purpose: Purpose, node: number): Promise<Link> {
    const patience = purpose === 'produce' ? this.options.timeoutMs + 1000 : patienceMs[purpose]
    return await this.#shared(`${purpose} ${node}`, await this.#address(node), patience)
  }

  /** A link for one user alone, who closes it. */
  async own(node: number, requestTimeoutMs: number): Promise<Link> {
    return await this.#connect(await this.#address(node), requestTimeoutMs)
  }

  async release(link: Link): Promise<void> {
    this.#open.delete(link)
    await link.close()
  }

  async #address(node: number): Promise<Address> {
    if (!this.#brokers.has(node) && this.#brokers.size > 0) await this.discover()
    const address = this.#brokers.get(node)
    if (address === undefined) throw new Fault('BROKER_NOT_AVAILABLE', `broker ${node} is away`)
    return address
  }

  async #shared(key: string, address: Address, patience: number): Promise<Link> {
    const known = this.#links.get(key)
    const link = await known?.catch(() => undefined)
    const moved = link && (link.address.host !== address.host || link.address.port !== address.port)
    if (link && !link.closed && !moved) return link
    const current = this.#links.get(key)
    if (current !== undefined && current !== known) return await current
    const opening = this.#connect(address, patience)
    this.#links.set(key, opening)
    opening.catch(() => {
      if (this.#links.get(key) === opening) this.#links.delete(key)
    })
    if (link) void this.release(link)
    return await opening
  }

  async #connect(address: Address, requestTimeoutMs: number): Promise<Link> {
    if (this.closing.aborted) throw closedError()
    const link = new Link(this.client, address, this.options, requestTimeoutMs)
    this.#open.add(link)
    try {
      await link.open()
      return link
    } catch (thrown) {
      this.#open.delete(link)
      throw this.closing.aborted ? closedError() : thrown
    }
  }

  /** Throws the Fault of an error code; 0 is none. */
  check(code: number): void {
    if (code !== 0) throw this.fault(code)
  }

  fault(code: number, message?: string | null): Fault {
    const id =
      this.client.protocolErrorsCodesById[code as keyof Client['protocolErrorsCodesById']] ??
      'UNKNOWN_SERVER_ERROR'
    return new Fault(id, message || id)
  }

  /**
   * Calls until it works, fails for good, or `timeoutMs` have passed; then with the last reason. A topic counts as
   * missing after `missing` answers that say so: brokers hear of a new one at different times.
   */
  async persist<T>(attempt: (last: Fault | undefined) => Promise<T>, missing = 6): Promise<T> {
    const end = Date.now() + this.options.timeoutMs
    let last: Fault | undefined
    for (let tries = 0; ; tries++) {
      if (this.closing.aborted) throw closedError()
      try {
        return await this.within(attempt(last), end - Date.now(), last)
      } catch (thrown) {
        if (this.closing.aborted) throw closedError()
        const gone = thrown instanceof Fault && thrown.id === 'UNKNOWN_TOPIC_OR_PARTITION' && tries >= missing
        if (!(thrown instanceof Fault) || !thrown.passing || gone || Date.now() >= end) throw thrown
        last = thrown
      }
      await this.pause(Math.min(20 * 2 ** tries, 500))
    }
  }

  /** The promise, or after `ms` the last fault or SILENT: a broker that hangs holds nobody up. */
  async within<T>(promise: Promise<T>, ms: number, last?: Fault): Promise<T> {
    const late = Promise.withResolvers<never>()
    const cancel = systemClock.after(ms, () => {
      late.reject(last ?? new Fault('SILENT', `no answer within ${Math.round(ms)} ms`))
    })
    try {
      return await Promise.race([promise, late.promise])
    } finally {
      cancel()
      promise.catch(() => {})
    }
  }

  /**
   * What the leader of these partitions answers, due after `dueMs`. NETWORK when it is late and leads none of them any
   * more: the cluster noticed that it hangs, and others can be asked.
   */
  async fromLeader<T>(
    node: number,
    parts: readonly TopicPartition[],
    answer: Promise<T>,
    dueMs: number,
  ): Promise<T> {
    const gone = Promise.withResolvers<never>()
    const streams = [...new Set(parts.map(({ stream }) => stream))]
    let over = false
    const look = async () => {
      await Promise.allSettled(streams.map((stream) => this.refresh(stream)))
      if (over) return
      if (parts.some(({ stream, partition }) => this.known(stream)?.leaders[partition] === node))
        cancel = systemClock.after(leaderMs, look)
      else gone.reject(new Fault('NETWORK', `broker ${node} did not answer, and leads no more`))
    }
    let cancel = systemClock.after(dueMs + leaderMs, look)
    try {
      return await Promise.race([answer, gone.promise])
    } finally {
      over = true
      cancel()
      answer.catch(() => {})
    }
  }

  /** Waits; less when the cluster is being closed. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.closing.removeEventListener('abort', done)
        resolve()
      }
      const cancel = systemClock.after(ms, done)
      if (this.closing.aborted) done()
      else this.closing.addEventListener('abort', done)
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all([...this.#open].map((link) => link.close()))
    this.#open.clear()
    this.#links.clear()
  }
}

// Appending: the records of each partition queue up in a lane, and every broker gets one request at a time with what
// its lanes hold by then. So calls merge into batches while a request is under way, and a partition never has two
// batches under way that could overtake each other. Batches are numbered (idempotent producer): one that is sent
// again after a lost answer is recognised by the broker and stored once.
import { systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { AppendRecord } from '../../ports/stream.ts'
import { AppendCall, type QueuedRecord } from './append-call.ts'
import { type OutRecord, outRecord, recordOverhead, writeBatch } from './batch-writer.ts'
import type { Cluster } from './cluster.ts'
import { closedError, Fault, translate } from './errors.ts'
import { Lane, type LaneBatch } from './lane.ts'
import { requirePartitions } from './options.ts'
import { type Produce, type ProduceAnswer, partKey, produceRequest } from './produce-request.ts'
import type { Topics } from './topics.ts'

const maxBacklogBytes = 64 * 1024 * 1024
const maxRequestBytes = 8 * 1024 * 1024
/** The broker and we disagree about the numbers of the batches. */
const numbering: ReadonlySet<string> = new Set([
  'DUPLICATE_SEQUENCE_NUMBER',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
])

export class Producer {
  readonly #cluster: Cluster
  readonly #topics: Topics
  readonly #produce: Produce
  readonly #lanes = new Map<string, Lane>()
  readonly #ready = new Set<Lane>()
  readonly #busy = new Set<number>()
  readonly #calls = new Set<AppendCall>()
  readonly #admissions: { readonly bytes: number; readonly admit: () => void }[] = []
  #backlogBytes = 0
  #producerId: Promise<bigint> | undefined
  #pumping = false
  #closed = false

  constructor(cluster: Cluster, topics: Topics) {
    this.#cluster = cluster
    this.#topics = topics
    this.#produce = produceRequest(cluster.client)
  }

  async append(stream: string, records: readonly AppendRecord[]): Promise<number[]> {
    if (this.#closed) throw closedError()
    if (records.length === 0) return []
    if (!this.#cluster.known(stream)) await this.#cluster.topic(stream)
    const call = new AppendCall(records.length)
    const queued = records.map(({ key, body, tombstone }, index): QueuedRecord => {
      return { ...outRecord(key, body, tombstone), call, index }
    })
    const bytes = this.#checkSizes(stream, queued)
    await requirePartitions(this.#cluster, stream, records)
    const end = Date.now() + this.#cluster.options.timeoutMs
    if (
      this.#admissions.length > 0 ||
      (this.#backlogBytes > 0 && this.#backlogBytes + bytes > maxBacklogBytes)
    )
      await this.#admission(bytes)
    else this.#backlogBytes += bytes
    if (this.#closed) {
      this.#release(bytes)
      throw closedError()
    }
    this.#calls.add(call)
    const cancel = systemClock.after(end - Date.now(), () => call.fail(late(stream, call.fault)))
    for (const record of queued) this.#lane(stream, records[record.index]!.partition).push(record)
    try {
      await call.done
      return call.positions
    } finally {
      cancel()
      this.#calls.delete(call)
      this.#release(bytes)
    }
  }

  /** Takes nothing more, and waits until everything taken is stored or has failed. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { admit } of this.#admissions.splice(0)) admit()
    await Promise.allSettled([...this.#calls].map((call) => call.done))
  }

  #checkSizes(stream: string, records: readonly OutRecord[]): number {
    const limit = this.#topics.maxRecordBytes(stream)
    const { maxBodyBytes } = this.#topics
    let sum = 0
    for (const { keyBytes, bodyBytes } of records) {
      const bytes = keyBytes + bodyBytes
      if (bodyBytes > maxBodyBytes || bytes > limit)
        throw new SpillwayError(
          'TOO_LARGE',
          `A record with a key of ${keyBytes} and a body of ${bodyBytes} bytes was to be appended to '${stream}'; bodies may have ${maxBodyBytes}, key and body together ${limit} (Kafka's max.message.bytes).`,
          { engine: 'kafka', details: { keyBytes, bodyBytes, maxBodyBytes, limit } },
        )
      sum += bytes + recordOverhead
    }
    return sum
  }

  #admission(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry = {
        bytes,
        admit: () => {
          cancel()
          this.#backlogBytes += bytes
          resolve()
        },
      }
      const cancel = systemClock.after(this.#cluster.options.timeoutMs, () => {
        const index = this.#admissions.indexOf(entry)
        if (index < 0) return
        this.#admissions.splice(index, 1)
        reject(
          new SpillwayError('BACKLOG_FULL', `${maxBacklogBytes} bytes wait to be appended to Kafka.`, {
            engine: 'kafka',
          }),
        )
      })
      this.#admissions.push(entry)
    })
  }

  #release(bytes: number): void {
    this.#backlogBytes -= bytes
    for (let first = this.#admissions[0]; first; first = this.#admissions[0]) {
      if (this.#backlogBytes > 0 && this.#backlogBytes + first.bytes > maxBacklogBytes) return
      this.#admissions.shift()
      first.admit()
    }
  }

  #lane(stream: string, partition: number): Lane {
    const key = partKey(stream, partition)
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = new Lane(
        stream,
        partition,
        () => this.#topics.maxBatchBytes(stream),
        (ready) => this.#kick(ready),
      )
      this.#lanes.set(key, lane)
    }
    return lane
  }

  #kick(lane: Lane): void {
    this.#ready.add(lane)
    this.#schedule()
  }

  /** Requests are put together when the promises of this turn have run, so that the calls they make merge. */
  #schedule(): void {
    if (this.#pumping) return
    this.#pumping = true
    process.nextTick(() => {
      this.#pumping = false
      this.#pump()
    })
  }

  #pump(): void {
    const requests = new Map<number, { lanes: Lane[]; bytes: number }>()
    for (const lane of this.#ready) {
      const node = this.#cluster.known(lane.stream)?.leaders[lane.partition] ?? -1
      if (node < 0) {
        this.#ready.delete(lane)
        lane.note(new Fault('LEADER_NOT_AVAILABLE', `${lane.stream}/${lane.partition} has no leader`))
        void this.#again(lane)
        continue
      }
      if (this.#busy.has(node)) continue
      const request = requests.get(node) ?? { lanes: [], bytes: 0 }
      if (request.bytes > maxRequestBytes) continue
      request.lanes.push(lane)
      request.bytes += lane.readyBytes
      requests.set(node, request)
      this.#ready.delete(lane)
    }
    for (const [node, { lanes }] of requests) void this.#send(node, lanes)
  }

  async #send(node: number, lanes: readonly Lane[]): Promise<void> {
    this.#busy.add(node)
    const sent = new Map<Lane, LaneBatch>()
    let answer: ProduceAnswer | undefined
    let fault: Fault | undefined
    try {
      const link = await this.#cluster.link('produce', node)
      for (const lane of lanes) {
        lane.producerId ??= await this.#producerIdFor(lane)
        const batch = lane.nextBatch((records, sequence) =>
          writeBatch(records, sequence, Date.now(), this.#cluster.client.crc32c),
        )
        if (batch !== undefined) sent.set(lane, batch)
      }
      if (sent.size > 0) {
        const batches = [...sent].map(([{ stream, partition }, { bytes }]) => ({ stream, partition, bytes }))
        const asking = this.#produce(link, batches, this.#cluster.options.timeoutMs)
        answer = await this.#cluster.fromLeader(node, batches, asking, 0).catch((thrown) => {
          void this.#cluster.release(link)
          throw thrown
        })
      }
    } catch (thrown) {
      fault = thrown instanceof Fault ? thrown : new Fault('NETWORK', String(thrown), thrown)
    }
    this.#busy.delete(node)
    for (const lane of lanes) {
      const batch = sent.get(lane)
      if (batch === undefined && fault === undefined) lane.idle()
      else this.#settle(lane, batch, fault, answer?.get(partKey(lane.stream, lane.partition)))
    }
    this.#schedule()
  }

  #settle(
    lane: Lane,
    batch: LaneBatch | undefined,
    failure: Fault | undefined,
    answer: { errorCode: number; base: number; message: string | null } | undefined,
  ): void {
    if (batch !== undefined && failure === undefined && answer?.errorCode === 0) {
      lane.stored(batch, answer.base)
      return
    }
    const fault =
      failure ??
      (answer === undefined
        ? new Fault('NETWORK', 'the broker did not answer for this partition')
        : this.#cluster.fault(answer.errorCode, answer.message))
    lane.note(fault)
    if (batch === undefined) {
      if (fault.passing) void this.#again(lane)
      else lane.failAll(translate(fault, `appending to '${lane.stream}'`))
      return
    }
    const tooLarge = fault.id === 'MESSAGE_TOO_LARGE' || fault.id === 'RECORD_LIST_TOO_LARGE'
    const misnumbered = numbering.has(fault.id)
    // What is certainly not stored may be put together anew.
    const keyless = fault.id === 'INVALID_RECORD' && batch.records.some(hasNoKey)
    if (keyless && !batch.ambiguous) lane.refuse(batch, hasNoKey, needsKey(lane.stream, fault))
    else if (tooLarge && batch.records.length > 1 && !batch.ambiguous) lane.split(batch)
    else if (misnumbered && !batch.ambiguous) {
      lane.renumber(batch)
      void this.#again(lane)
    } else if (fault.passing) {
      batch.ambiguous ||= fault.ambiguous
      void this.#again(lane)
    } else {
      batch.ambiguous ||= fault.ambiguous || misnumbered
      lane.failed(batch, translate(fault, `appending to '${lane.stream}'`))
    }
  }

  /** After a pause, with fresh knowledge of who leads the partition; unless nobody waits for it any more. */
  async #again(lane: Lane): Promise<void> {
    const tries = lane.tries++
    await this.#cluster.pause(Math.min(20 * 2 ** tries, 500))
    if (lane.abandonIfUnwanted()) return
    await this.#cluster.refresh(lane.stream).catch((thrown) => {
      if (!(thrown instanceof Fault)) return
      lane.note(thrown)
      if (thrown.id === 'UNKNOWN_TOPIC_OR_PARTITION' && tries > 5)
        lane.failAll(translate(thrown, `appending to '${lane.stream}'`))
    })
    lane.resume()
  }

  /** One id for all lanes; but a lane whose numbering became uncertain needs one that it did not have. */
  async #producerIdFor(lane: Lane): Promise<bigint> {
    this.#producerId ??= this.#askProducerId()
    const asked = this.#producerId
    try {
      const id = await asked
      if (id !== lane.staleProducerId) return id
    } catch (thrown) {
      if (this.#producerId === asked) this.#producerId = undefined
      throw thrown
    }
    if (this.#producerId === asked) this.#producerId = undefined
    return await this.#producerIdFor(lane)
  }

  async #askProducerId(): Promise<bigint> {
    const link = await this.#cluster.any()
    const answer = await link.call(this.#cluster.client.initProducerIdV4.api, null, 0, -1n, -1)
    this.#cluster.check(answer.errorCode)
    return answer.producerId
  }
}

function hasNoKey({ key }: QueuedRecord): boolean {
  return key === undefined
}

function needsKey(stream: string, cause: Fault): SpillwayError {
  return new SpillwayError(
    'INVALID_DATA',
    `Kafka refused a record without a key for '${stream}': a topic that is compacted takes none.`,
    { engine: 'kafka', cause },
  )
}

function late(stream: string, fault: Fault | undefined): SpillwayError {
  const why = fault === undefined ? 'no answer in time' : fault.message
  if (fault?.id === 'UNKNOWN_TOPIC_OR_PARTITION')
    return translate(fault, `appending to '${stream}'`) as SpillwayError
  return new SpillwayError(
    'ENGINE_UNAVAILABLE',
    `Kafka did not confirm an append to '${stream}' (${why}); whether it is stored is unknown.`,
    { engine: 'kafka', cause: fault },
  )
}

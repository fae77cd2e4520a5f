// JetStream's API: requests and answers in JSON. Only what we use of it.
import { Buffer } from 'node:buffer'
import type { Msg } from '@nats-io/transport-node'
import { sleep, systemClock } from '../../core/clock.ts'
import { apiCode, Fault, isFault } from './errors.ts'
import type { Headers, Link } from './link.ts'
import { type AllNames, nameOf } from './names.ts'

export type Config = Readonly<Record<string, unknown>>

export interface StreamInfo {
  readonly config: Config & { readonly name: string; readonly subjects: readonly string[] }
  readonly state: {
    readonly messages: number
    readonly first_seq: number
    readonly last_seq: number
    readonly subjects?: Readonly<Record<string, number>>
  }
}

export interface ConsumerInfo {
  readonly name: string
  readonly config: Config
  readonly delivered: { readonly consumer_seq: number; readonly stream_seq: number }
  readonly ack_floor: { readonly stream_seq: number }
  readonly num_ack_pending: number
  readonly num_pending: number
}

export interface StoredMessage {
  readonly subject: string
  readonly sequence: number
  readonly data: Buffer
  readonly headers: string
  /** Milliseconds since the epoch. */
  readonly time: number
}

export interface PubAck {
  readonly seq: number
  readonly duplicate: boolean
}

interface RawAnswer {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description: string }
}

/** One attempt: a server that is silent for longer is asked again. */
const attemptMs = 5_000

export class Api {
  readonly link: Link
  readonly timeoutMs: number
  readonly #prefix: string

  constructor(link: Link, timeoutMs: number, domain: string | undefined) {
    this.link = link
    this.timeoutMs = timeoutMs
    this.#prefix = domain === undefined ? '$JS.API.' : `$JS.${domain}.API.`
  }

  subject(verb: string): string {
    return this.#prefix + verb
  }

  createStream(config: Config & { readonly name: string }): Promise<StreamInfo> {
    return this.call(`STREAM.CREATE.${config.name}`, config)
  }

  updateStream(config: Config & { readonly name: string }): Promise<StreamInfo> {
    return this.call(`STREAM.UPDATE.${config.name}`, config)
  }

  /** Undefined when there is no such stream. */
  async streamInfo(stream: string, subjects?: string): Promise<StreamInfo | undefined> {
    const all: Record<string, number> = {}
    for (let offset = 0; ; ) {
      const body = subjects === undefined ? undefined : { subjects_filter: subjects, offset }
      const info = await this.#orNothing<StreamInfo & { readonly total?: number }>(
        this.call(`STREAM.INFO.${stream}`, body),
        apiCode.streamNotFound,
      )
      if (info === undefined || subjects === undefined) return info
      const page = Object.entries(info.state.subjects ?? {})
      for (const [subject, count] of page) all[subject] = count
      offset += page.length
      if (page.length === 0 || offset >= (info.total ?? 0))
        return { ...info, state: { ...info.state, subjects: all } }
    }
  }

  async deleteStream(stream: string): Promise<void> {
    await this.#orNothing(this.call(`STREAM.DELETE.${stream}`), apiCode.streamNotFound)
  }

  /** The names that stand for what NATS streams with such a beginning and subject keep, sorted. */
  async names({ begin, subject }: AllNames): Promise<string[]> {
    const found = new Set<string>()
    for (let offset = 0; ; ) {
      const { streams, total } = await this.call<{
        readonly streams: string[] | null
        readonly total: number
      }>('STREAM.NAMES', { subject, offset })
      for (const name of streams ?? [])
        if (name.startsWith(begin)) found.add(nameOf(name.slice(begin.length)))
      offset += streams?.length ?? 0
      if (!streams?.length || offset >= total) return [...found].sort()
    }
  }

  createConsumer(stream: string, config: Config & { readonly name: string }): Promise<ConsumerInfo> {
    const kind = 'durable_name' in config ? 'CONSUMER.DURABLE.CREATE' : 'CONSUMER.CREATE'
    const filter = 'durable_name' in config ? '' : `.${config.filter_subject}`
    return this.call(`${kind}.${stream}.${config.name}${filter}`, { stream_name: stream, config })
  }

  consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo | undefined> {
    return this.#orNothing(this.call(`CONSUMER.INFO.${stream}.${consumer}`), apiCode.consumerNotFound)
  }

  async deleteConsumer(stream: string, consumer: string): Promise<void> {
    await this.#orNothing(this.call(`CONSUMER.DELETE.${stream}.${consumer}`), apiCode.consumerNotFound)
  }

  /** By sequence, or the last or the next of a subject. Undefined when there is none. */
  async message(
    stream: string,
    which: { seq: number } | { last_by_subj: string } | { seq: number; next_by_subj: string },
  ): Promise<StoredMessage | undefined> {
    const answer = await this.#orNothing<{
      message: { subject: string; seq: number; data?: string; hdrs?: string; time: string }
    }>(this.call(`STREAM.MSG.GET.${stream}`, which), apiCode.messageNotFound)
    if (answer === undefined) return undefined
    const { subject, seq, data = '', hdrs = '', time } = answer.message
    return {
      subject,
      sequence: seq,
      data: Buffer.from(data, 'base64'),
      headers: Buffer.from(hdrs, 'base64').toString(),
      time: Date.parse(time),
    }
  }

  /** False when it was not there (any more). Asked once: a second answer would be about the first's work. */
  async removeMessage(stream: string, sequence: number): Promise<boolean> {
    const body = { seq: sequence, no_erase: true }
    try {
      const answer = await this.#ask<{ success: boolean }>(
        `STREAM.MSG.DELETE.${stream}`,
        body,
        this.timeoutMs,
      )
      return answer.success
    } catch (thrown) {
      if (isFault(thrown, apiCode.messageNotFound) || isFault(thrown, apiCode.sequenceNotFound)) return false
      if (
        isFault(thrown, apiCode.messageDeleteFailed) &&
        /message found|not found|deleted/i.test(thrown.message)
      )
        return false
      throw thrown
    }
  }

  /** Removes what a subject has below a sequence above 1. */
  async purge(stream: string, filter: string, below: number): Promise<void> {
    await this.call(`STREAM.PURGE.${stream}`, { filter, seq: below })
  }

  /** Publishes and waits for the server's word that it is stored. One attempt. */
  async store(
    subject: string,
    payload: Uint8Array | string,
    headers?: Headers,
    ms?: number,
  ): Promise<PubAck> {
    return readPubAck(await this.link.request(subject, payload, ms ?? this.timeoutMs, headers))
  }

  /** Asks until there is an answer, for as long as `timeoutMs`. For requests that may be repeated. */
  call<T>(verb: string, body?: unknown): Promise<T> {
    return this.persist((ms) => this.#ask<T>(verb, body, ms))
  }

  /** Tries again while what goes wrong passes by itself, for as long as `timeoutMs`. */
  async persist<T>(attempt: (ms: number) => Promise<T>): Promise<T> {
    const end = performance.now() + this.timeoutMs
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      try {
        return await attempt(Math.min(attemptMs, Math.max(1, end - performance.now())))
      } catch (thrown) {
        if (!(thrown instanceof Fault && thrown.passing) || performance.now() + pauseMs >= end) throw thrown
        await sleep(systemClock, pauseMs)
      }
    }
  }

  async #ask<T>(verb: string, body: unknown, ms: number): Promise<T> {
    const payload = body === undefined ? '' : JSON.stringify(body)
    const answer = await this.link.request(this.subject(verb), payload, ms)
    const parsed = answer.json<T & RawAnswer>()
    if (parsed.error !== undefined) throw refusal(parsed.error)
    return parsed
  }

  async #orNothing<T>(asked: Promise<T>, ...nothing: readonly number[]): Promise<T | undefined> {
    try {
      return await asked
    } catch (thrown) {
      if (nothing.some((code) => isFault(thrown, code))) return undefined
      throw thrown
    }
  }
}

export function readPubAck(answer: Msg): PubAck {
  const ack = answer.json<RawAnswer & { seq: number; duplicate?: boolean }>()
  if (ack.error !== undefined) throw refusal(ack.error)
  return { seq: ack.seq, duplicate: ack.duplicate === true }
}

function refusal({ code, err_code = 0, description }: NonNullable<RawAnswer['error']>): Fault {
  return new Fault('API', description, { code: err_code, status: code })
}

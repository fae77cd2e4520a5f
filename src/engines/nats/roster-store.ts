// The rosters and positions of a stream's groups on the server: each a subject with one message, replaced by compare-and-set.
import type { CommitResult, CommittedPosition } from '../../ports/stream.ts'
import type { Api, StoredMessage } from './api.ts'
import { emptyRoster, type Roster } from './assignment.ts'
import { apiCode, Fault, isFault } from './errors.ts'
import { token } from './names.ts'
import type { KnownStream } from './streams.ts'

export interface StoredRoster {
  readonly roster: Roster
  /** Rises with every change. */
  readonly revision: number
}

export interface HeldPartition {
  readonly partition: number
  readonly epoch: number
  readonly position: number | null
  /** Of the position's record, as this holder wrote it last. */
  sequence: number
}

interface PositionRecord {
  readonly position: number | null
  readonly epoch: number
}

export class RosterStore {
  readonly #api: Api
  readonly stream: KnownStream
  readonly #group: string

  constructor(api: Api, stream: KnownStream, group: string) {
    this.#api = api
    this.stream = stream
    this.#group = token(group)
  }

  async read(): Promise<StoredRoster> {
    const stored = await this.#last(this.#rosterSubject)
    if (stored === undefined) return { roster: emptyRoster(this.stream.partitions), revision: 0 }
    return { roster: JSON.parse(stored.data.toString()) as Roster, revision: stored.sequence }
  }

  /** Changes the roster as it is now. Undefined from `change`: it is left alone. May be asked several times. */
  update(change: (roster: Roster) => Roster | undefined): Promise<StoredRoster> {
    return this.#api.persist(async () => {
      for (;;) {
        const found = await this.read()
        const roster = change(found.roster)
        if (roster === undefined) return found
        const sequence = await this.#replace(this.#rosterSubject, found.revision, roster)
        if (sequence !== undefined) return { roster, revision: sequence }
      }
    })
  }

  /** Makes older holders' commits fail. Undefined when the partition has a newer holder already. */
  acquire(partition: number, epoch: number): Promise<HeldPartition | undefined> {
    return this.#api.persist(async () => {
      for (;;) {
        const found = await this.#position(partition)
        if (found !== undefined && found.epoch > epoch) return undefined
        const position = found?.position ?? null
        const subject = this.#positionSubject(partition)
        const sequence = await this.#replace(subject, found?.sequence ?? 0, { position, epoch })
        if (sequence !== undefined) return { partition, epoch, position, sequence }
      }
    })
  }

  /** Stores a position unless someone else has acquired the partition since. */
  commit(held: HeldPartition, position: number): Promise<CommitResult> {
    return this.#api.persist(async () => {
      for (;;) {
        const record = { position, epoch: held.epoch }
        const sequence = await this.#replace(this.#positionSubject(held.partition), held.sequence, record)
        if (sequence !== undefined) {
          held.sequence = sequence
          return 'committed'
        }
        const found = await this.#position(held.partition)
        if (found?.epoch !== held.epoch) return 'stale'
        // It was ourselves: an answer was lost.
        held.sequence = found.sequence
      }
    })
  }

  async committed(): Promise<CommittedPosition[]> {
    const partitions = Array.from({ length: this.stream.partitions }, (_, partition) => partition)
    return await Promise.all(
      partitions.map(async (partition) => ({
        partition,
        position: (await this.#position(partition))?.position ?? null,
      })),
    )
  }

  async #position(partition: number): Promise<(PositionRecord & { readonly sequence: number }) | undefined> {
    const stored = await this.#last(this.#positionSubject(partition))
    if (stored === undefined) return undefined
    return { ...(JSON.parse(stored.data.toString()) as PositionRecord), sequence: stored.sequence }
  }

  #last(subject: string): Promise<StoredMessage | undefined> {
    return this.#api.message(this.stream.names.groups, { last_by_subj: subject })
  }

  /** Undefined when what is stored is not what was expected. */
  async #replace(subject: string, expected: number, value: object): Promise<number | undefined> {
    try {
      const headers = { 'Nats-Expected-Last-Subject-Sequence': String(expected) }
      return (await this.#api.store(subject, JSON.stringify(value), headers)).seq
    } catch (thrown) {
      if (isFault(thrown, apiCode.wrongLastSequence)) return undefined
      if (isFault(thrown, apiCode.wrongLastSequenceInCluster)) return undefined
      // Nobody answers, and the server does: the stream is gone.
      if (thrown instanceof Fault && thrown.kind === 'ABSENT') await this.#mustExist(thrown)
      throw thrown
    }
  }

  async #mustExist(absent: Fault): Promise<void> {
    if ((await this.#api.streamInfo(this.stream.names.groups)) !== undefined) return
    throw new Fault('API', `the stream ${this.stream.names.groups} is gone`, {
      code: apiCode.streamNotFound,
      cause: absent,
    })
  }

  get #rosterSubject(): string {
    return `${this.stream.names.groupsBase}.roster.${this.#group}`
  }

  #positionSubject(partition: number): string {
    return `${this.stream.names.groupsBase}.position.${this.#group}.${partition}`
  }
}

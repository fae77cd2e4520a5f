// The stream port on PostgreSQL: one row per record, positions given in the order of commit.
import { SpillwayError } from '../../core/errors.ts'
import type { StreamCapabilities } from '../../ports/capability.ts'
import { checkProducer, type Producer } from '../../ports/producer.ts'
import { checkTombstones, limitsOf } from '../../ports/retention.ts'
import type {
  AppendRecord,
  AppendResult,
  CommittedPosition,
  JoinOptions,
  Membership,
  PartitionBounds,
  PartitionPosition,
  ReadOptions,
  StreamPort,
  StreamRecord,
  StreamSpec,
} from '../../ports/stream.ts'
import { int4Array, int8Array } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { closed, sqlState } from './errors.ts'
import { Groups } from './groups.ts'
import { checkOption } from './options.ts'
import { Appends, declaredAnew } from './stream-append.ts'
import { StreamHome } from './stream-home.ts'
import {
  type BoundsRow,
  boundsStatement,
  positionsAtStatement,
  type RecordRow,
  readKeyStatement,
  readStatement,
  toBounds,
  toRecord,
} from './stream-read.ts'
import { checkRow, checkText, maxBodyBytes } from './text.ts'
import type { Wake } from './wake.ts'

const goldenRatio = (Math.sqrt(5) - 1) / 2
/** Each is a row that appends lock. */
const maxPartitions = 10_000

/** Records that one transaction of a trim removes. */
const trimAtOnce = 2_000

interface StreamInfo {
  readonly id: number
  readonly partitions: number
  readonly versions: boolean
}

type StatementName =
  | 'find'
  | 'names'
  | 'groups'
  | 'create'
  | 'heads'
  | 'lock'
  | 'any'
  | 'alter'
  | 'alterHeads'
  | 'read'
  | 'readKey'
  | 'bounds'
  | 'positionsAt'
  | 'noteTrim'
  | 'trim'
  | 'limit'

function statements(schema: string): Record<StatementName, Statement> {
  return {
    find: {
      name: 'spillway_find_stream',
      text: `select id, partitions, versions from ${schema}.stream where name = $1`,
    },
    names: { name: 'spillway_stream_names', text: `select name from ${schema}.stream order by name` },
    groups: {
      name: 'spillway_group_names',
      text: `select name from ${schema}.consumer_group where stream = $1 order by name`,
    },
    create: {
      name: 'spillway_create_stream',
      text: `insert into ${schema}.stream (name, partitions, versions) values ($1, $2, $3)
on conflict (name) do nothing returning id`,
    },
    heads: {
      name: 'spillway_create_heads',
      text: `insert into ${schema}.stream_head (stream, partition, versions)
select $1, partition, $3 from generate_series(0, $2::int - 1) partition`,
    },
    lock: {
      name: 'spillway_lock_heads',
      text: `select from ${schema}.stream_head where stream = $1 order by partition for update`,
    },
    any: { name: 'spillway_any_record', text: `select from ${schema}.record where stream = $1 limit 1` },
    alter: { name: 'spillway_alter_stream', text: `update ${schema}.stream set versions = $2 where id = $1` },
    alterHeads: {
      name: 'spillway_alter_heads',
      text: `update ${schema}.stream_head set versions = $2 where stream = $1`,
    },
    read: readStatement(schema),
    readKey: readKeyStatement(schema),
    bounds: boundsStatement(schema),
    positionsAt: positionsAtStatement(schema),
    limit: { name: 'spillway_limit_stream', text: `select ${schema}.limit_stream($1, $2, $3, $4)` },
    noteTrim: { name: 'spillway_note_trim', text: `select ${schema}.note_trim($1, $2, $3)` },
    trim: {
      name: 'spillway_trim_step',
      text: `select reached::float8, gone::float8 from ${schema}.trim_step($1, $2, $3, $4, ${trimAtOnce})`,
    },
  }
}

export class PostgresStream implements StreamPort {
  readonly capabilities: StreamCapabilities = {
    fencing: 'engine',
    atomicAppend: true,
    versions: true,
    producers: true,
    compaction: true,
  }
  readonly limits: StreamPort['limits'] = { maxBodyBytes: maxBodyBytes, minSessionMs: 500 }
  readonly #connection: Connection
  readonly #wake: Wake
  readonly #sql: Record<StatementName, Statement>
  readonly #infos = new Map<string, StreamInfo>()
  readonly #appends: Appends
  readonly #groups: Groups
  /** Counts the reads, so that partitions take turns to be the first. */
  #turn = 0
  #closed = false
  readonly home: StreamHome

  constructor(connection: Connection, wake: Wake, schema: string, place: string) {
    this.home = new StreamHome({
      place,
      schema,
      plain: (stream) => this.#plain(stream),
      stored: (stream) => wake.changed(topic(stream)),
    })
    this.#connection = connection
    this.#wake = wake
    this.#sql = statements(schema)
    this.#appends = new Appends(connection, schema, (streams) => {
      for (const stream of streams) wake.changed(topic(stream))
    })
    this.#groups = new Groups(connection, wake, schema)
  }

  async declare(spec: StreamSpec): Promise<{ readonly partitions: number }> {
    if (this.#closed) throw closed()
    checkOption('partitions', spec.partitions, 'count', 1, maxPartitions)
    const limits = spec.retention && limitsOf('postgres', this.capabilities, spec.retention)
    const versions = spec.versions ?? false
    const found = await this.#connection.run<StreamInfo>(this.#sql.find, [spec.name])
    if (found.length === 0) await this.#create(spec.name, spec.partitions, versions)
    this.#infos.delete(spec.name)
    const info = await this.#info(spec.name)
    if (spec.versions !== undefined && info.versions !== versions)
      await this.#alter(spec.name, info, versions)
    if (limits) {
      const values = [info.id, limits.maxAgeMs, limits.maxBytes, limits.tombstonesMs]
      await this.#connection.run(this.#sql.limit, values)
    }
    return { partitions: info.partitions }
  }

  async append(
    stream: string,
    records: readonly AppendRecord[],
    options: { readonly producer?: Producer | undefined } = {},
  ): Promise<AppendResult> {
    const { producer } = options
    checkProducer('postgres', producer)
    checkTombstones('postgres', records)
    for (const record of records) checkRow(record)
    const info = await this.#info(stream)
    checkAppend(stream, info, records)
    if (records.length === 0) return { status: 'appended', positions: [] }
    const { versioned, plain } = this.#appends
    try {
      if (producer) return await this.#appends.once({ stream: info.id, records }, producer, info.versions)
      return await (info.versions ? versioned : plain).submit({ stream: info.id, records })
    } catch (thrown) {
      if (sqlState((thrown as SpillwayError).cause) !== declaredAnew) throw thrown
      this.#infos.delete(stream)
      if ((await this.#info(stream)).versions === info.versions) throw thrown
      return this.append(stream, records, options)
    }
  }

  async read(
    stream: string,
    from: readonly PartitionPosition[],
    options: ReadOptions,
  ): Promise<StreamRecord[]> {
    checkOption('maxRecords', options.maxRecords, 'count', 1)
    checkOption('maxBytes', options.maxBytes, 'count', 1)
    checkOption('waitMs', options.waitMs, 'time', 0, Number.POSITIVE_INFINITY)
    const { id, partitions } = await this.#info(stream)
    for (const { partition, position } of from) {
      checkOption('partition', partition, 'count', 0, partitions - 1)
      checkOption('position', position, 'count', 0)
    }
    const { signal } = options
    const deadline = performance.now() + options.waitMs
    // By the golden ratio, whose multiples come everywhere whatever is left out of them: who makes every second read of
    // this engine must not begin with every second partition.
    const start = Math.floor(((this.#turn++ * goldenRatio) % 1) * from.length)
    const order = [...from.slice(start), ...from.slice(0, start)]
    const values = [
      id,
      int4Array(order.map(({ partition }) => partition)),
      int8Array(order.map(({ position }) => position)),
      options.maxRecords,
      options.maxBytes,
    ]
    for (;;) {
      if (this.#closed || signal?.aborted) return []
      const turn = this.#wake.turn(topic(id))
      const rows = from.length === 0 ? [] : await this.#connection.run<RecordRow>(this.#sql.read, values)
      if (rows.length > 0) return rows.map(toRecord)
      const rest = deadline - performance.now()
      if (rest <= 0) return []
      await this.#wake.wait(topic(id), turn, rest, signal)
    }
  }

  async readKey(
    stream: string,
    key: string,
    options: { readonly fromVersion: number; readonly limit: number },
  ): Promise<StreamRecord[]> {
    checkOption('fromVersion', options.fromVersion, 'count', 1)
    checkOption('limit', options.limit, 'count', 1)
    const { id, versions } = await this.#info(stream)
    if (!versions) throw noVersions(stream)
    checkText(key, 'A key')
    const values = [id, key, options.fromVersion, options.limit]
    return (await this.#connection.run<RecordRow>(this.#sql.readKey, values)).map(toRecord)
  }

  async bounds(stream: string): Promise<PartitionBounds[]> {
    const { id } = await this.#info(stream)
    return (await this.#connection.run<BoundsRow>(this.#sql.bounds, [id])).map(toBounds)
  }

  async trim(stream: string, below: readonly PartitionPosition[]): Promise<void> {
    const { id, partitions } = await this.#info(stream)
    for (const { partition, position } of below) {
      checkOption('partition', partition, 'count', 0, partitions - 1)
      checkOption('position', position, 'count', 0)
    }
    for (const { partition, position } of below) {
      await this.#connection.run(this.#sql.noteTrim, [id, partition, position])
      for (let from = 0; ; ) {
        const values = [id, partition, from, position]
        const [step] = await this.#connection.run<{ reached: number; gone: number }>(this.#sql.trim, values)
        if (step!.gone === 0) break
        from = step!.reached
      }
    }
  }

  async positionsAt(stream: string, time: number): Promise<PartitionPosition[]> {
    const { id } = await this.#info(stream)
    return await this.#connection.run<PartitionPosition>(this.#sql.positionsAt, [id, time])
  }

  async join(stream: string, group: string, options: JoinOptions): Promise<Membership> {
    checkOption('sessionMs', options.sessionMs, 'time', this.limits.minSessionMs, 2 ** 31 - 1)
    const { id, partitions } = await this.#info(stream)
    return await this.#groups.join({ id, partitions }, group, options)
  }

  async committed(stream: string, group: string): Promise<CommittedPosition[]> {
    const { id, partitions } = await this.#info(stream)
    return await this.#groups.committed({ id, partitions }, group)
  }

  names(): Promise<string[]> {
    return this.#names(this.#sql.names, [])
  }

  async groups(stream: string): Promise<string[]> {
    const { id } = await this.#info(stream)
    return await this.#names(this.#sql.groups, [id])
  }

  async #names(statement: Statement, values: readonly number[]): Promise<string[]> {
    if (this.#closed) throw closed()
    const rows = await this.#connection.run<{ name: string }>(statement, values)
    return rows.map(({ name }) => name)
  }

  /** Leaves all groups, finishes what was accepted. Waiting reads end with the wake-ups. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#groups.close()
    await this.#appends.close()
  }

  async #create(name: string, partitions: number, versions: boolean): Promise<void> {
    await this.#connection.transaction(async (run) => {
      const created = await run<{ id: number }>(this.#sql.create, [name, partitions, versions])
      if (created[0] !== undefined) await run(this.#sql.heads, [created[0].id, partitions, versions])
    })
  }

  async #alter(name: string, { id }: StreamInfo, versions: boolean): Promise<void> {
    const done = await this.#connection.transaction(async (run) => {
      await run(this.#sql.lock, [id])
      if ((await run(this.#sql.any, [id])).length > 0) return false
      await run(this.#sql.alter, [id, versions])
      await run(this.#sql.alterHeads, [id, versions])
      return true
    })
    this.#infos.delete(name)
    if (!done)
      throw new SpillwayError(
        'CONFIGURATION',
        `The stream ${name} has records and ${versions ? 'does not keep' : 'keeps'} versions, which cannot be changed any more.`,
        { engine: 'postgres' },
      )
  }

  #plain(stream: string): number | undefined {
    const info = this.#closed ? undefined : this.#infos.get(stream)
    return info?.versions === false ? info.id : undefined
  }

  async #info(stream: string): Promise<StreamInfo> {
    if (this.#closed) throw closed()
    const known = this.#infos.get(stream)
    if (known !== undefined) return known
    const found = (await this.#connection.run<StreamInfo>(this.#sql.find, [stream]))[0]
    if (found === undefined)
      throw new SpillwayError('UNKNOWN_STREAM', `The stream ${JSON.stringify(stream)} was not declared.`, {
        engine: 'postgres',
      })
    this.#infos.set(stream, found)
    return found
  }
}

function checkAppend(stream: string, info: StreamInfo, records: readonly AppendRecord[]): void {
  for (const { partition, key, expectedVersion } of records) {
    checkOption('partition', partition, 'count', 0, info.partitions - 1)
    if (expectedVersion === undefined) continue
    checkOption('expectedVersion', expectedVersion, 'count', 0)
    if (!info.versions) throw noVersions(stream)
    if (key === undefined)
      throw new SpillwayError('CONFIGURATION', 'A record without a key has no version to expect.', {
        engine: 'postgres',
      })
  }
}

function noVersions(stream: string): SpillwayError {
  return new SpillwayError(
    'CONFIGURATION',
    `The stream ${stream} does not keep versions: they are chosen when it is declared.`,
    { engine: 'postgres' },
  )
}

function topic(stream: number): string {
  return `s${stream}`
}

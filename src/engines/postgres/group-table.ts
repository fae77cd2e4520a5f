// Consumer groups: members and partitions are leases by the database's clock, changed under the lock of the group's row.
import type { CommittedPosition, PartitionPosition } from '../../ports/stream.ts'
import { int4Array, int8Array, textArray } from './arrays.ts'
import { type PartitionState, plan } from './assignment.ts'
import type { Connection, Run, Statement } from './connection.ts'
import type { Wake } from './wake.ts'

export interface GroupStream {
  readonly id: number
  readonly partitions: number
}

export interface Member {
  readonly group: number
  readonly id: string
  readonly sessionMs: number
}

/** What the database says a member has. */
export interface HeldPartition {
  readonly partition: number
  readonly generation: number
  readonly position: number | null
  readonly revoking: boolean
}

export interface Beat {
  /** False when the member was declared dead. */
  readonly alive: boolean
  /** Something must be rearranged: a member is overdue, or a partition is free or was not given back in time. */
  readonly due: boolean
  readonly partitions: readonly HeldPartition[]
}

interface BeatRow {
  readonly alive: boolean
  readonly due: boolean
  readonly partition: number | null
  readonly generation: number
  readonly position: number | null
  readonly revoking: boolean
}

type StatementName =
  | 'create'
  | 'createPartitions'
  | 'find'
  | 'committed'
  | 'beat'
  | 'lock'
  | 'enter'
  | 'exit'
  | 'bury'
  | 'takeBack'
  | 'release'
  | 'members'
  | 'partitions'
  | 'give'
  | 'revoke'
  | 'commit'

// `revoke`: the member has a session's time from when it hears of it, at its next heartbeat.
// `clock_timestamp()` where a lock may have been waited for: `now()` would be the time before.
function statements(schema: string): Record<StatementName, Statement> {
  const texts: Record<StatementName, string> = {
    create: `insert into ${schema}.consumer_group (stream, name) values ($1, $2) on conflict do nothing`,
    createPartitions: `insert into ${schema}.group_partition (consumer_group, partition)
select $1, partition from generate_series(0, $2::int - 1) partition on conflict do nothing`,
    find: `select id from ${schema}.consumer_group where stream = $1 and name = $2`,
    committed: `select p.partition, p.position::float8 from ${schema}.group_partition p
join ${schema}.consumer_group g on g.id = p.consumer_group where g.stream = $1 and g.name = $2`,
    beat: `with me as (
  update ${schema}.group_member set expires_at = clock_timestamp() + session_ms * interval '1 millisecond'
  where consumer_group = $1 and id = $2 and (select set_config('synchronous_commit', 'off', true)) is not null
  returning 1
)
select exists (select from me) as alive, (
  exists (select from ${schema}.group_member where consumer_group = $1 and id <> $2 and expires_at < clock_timestamp())
  or exists (select from ${schema}.group_partition where consumer_group = $1 and (member is null or revoke_by < clock_timestamp()))
) as due, p.partition, p.generation::float8, p.position::float8, p.revoke_by is not null as revoking
from (select) one left join ${schema}.group_partition p on p.consumer_group = $1 and p.member = $2`,
    lock: `select from ${schema}.consumer_group where id = $1 for update`,
    enter: `insert into ${schema}.group_member (consumer_group, id, session_ms, expires_at)
values ($1, $2, $3::int, clock_timestamp() + $3::int * interval '1 millisecond')
on conflict (consumer_group, id) do update set expires_at = excluded.expires_at`,
    exit: `delete from ${schema}.group_member where consumer_group = $1 and id = $2`,
    bury: `delete from ${schema}.group_member where consumer_group = $1 and expires_at < clock_timestamp()`,
    takeBack: `update ${schema}.group_partition p set member = null, revoke_by = null, generation = generation + 1
where p.consumer_group = $1 and p.member is not null and (
  p.revoke_by < clock_timestamp()
  or not exists (select from ${schema}.group_member m where m.consumer_group = $1 and m.id = p.member)
) returning p.partition`,
    release: `update ${schema}.group_partition p set member = null, revoke_by = null, generation = p.generation + 1
from unnest($3::int[], $4::bigint[]) r(partition, generation)
where p.consumer_group = $1 and p.member = $2 and p.partition = r.partition and p.generation = r.generation`,
    members: `select id from ${schema}.group_member where consumer_group = $1 order by joined`,
    partitions: `select partition, member, revoke_by is not null as revoking
from ${schema}.group_partition where consumer_group = $1 order by partition`,
    give: `update ${schema}.group_partition p set member = g.member, generation = p.generation + 1
from unnest($2::int[], $3::text[]) g(partition, member) where p.consumer_group = $1 and p.partition = g.partition`,
    revoke: `update ${schema}.group_partition p
set revoke_by = clock_timestamp() + m.session_ms * interval '1.4 milliseconds'
from ${schema}.group_member m
where p.consumer_group = $1 and p.partition = any($2::int[]) and m.consumer_group = $1 and m.id = p.member`,
    commit: `update ${schema}.group_partition p set position = c.position
from unnest($3::int[], $4::bigint[], $5::bigint[]) c(partition, generation, position)
where p.consumer_group = $1 and p.member = $2 and p.partition = c.partition and p.generation = c.generation
returning p.partition`,
  }
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, { name: `spillway_group_${name}`, text }]),
  ) as Record<StatementName, Statement>
}

export class GroupTable {
  readonly #connection: Connection
  readonly #wake: Wake
  readonly #sql: Record<StatementName, Statement>

  constructor(connection: Connection, wake: Wake, schema: string) {
    this.#connection = connection
    this.#wake = wake
    this.#sql = statements(schema)
  }

  /** Makes the group exist; resolves with its number. */
  async declare(stream: GroupStream, name: string): Promise<number> {
    await this.#connection.run(this.#sql.create, [stream.id, name])
    const found = await this.#connection.run<{ id: number }>(this.#sql.find, [stream.id, name])
    const group = found[0]!.id
    await this.#connection.run(this.#sql.createPartitions, [group, stream.partitions])
    return group
  }

  async committed(stream: GroupStream, name: string): Promise<CommittedPosition[]> {
    const rows = await this.#connection.run<CommittedPosition>(this.#sql.committed, [stream.id, name])
    const positions = new Map(rows.map(({ partition, position }) => [partition, position]))
    return Array.from({ length: stream.partitions }, (_, partition) => ({
      partition,
      position: positions.get(partition) ?? null,
    }))
  }

  /** Says that the member is alive, and asks what it has. */
  async beat({ group, id }: Member): Promise<Beat> {
    const rows = await this.#connection.run<BeatRow>(this.#sql.beat, [group, id])
    const { alive, due } = rows[0]!
    const partitions = rows.flatMap((row) =>
      row.partition === null ? [] : [{ ...row, partition: row.partition }],
    )
    return { alive, due, partitions: alive ? partitions : [] }
  }

  enter({ group, id, sessionMs }: Member): Promise<void> {
    return this.#arrange(group, (run) => run(this.#sql.enter, [group, id, sessionMs]))
  }

  exit({ group, id }: Member): Promise<void> {
    return this.#arrange(group, (run) => run(this.#sql.exit, [group, id]))
  }

  /** Gives back what the member was told to. */
  release({ group, id }: Member, partitions: readonly HeldPartition[]): Promise<void> {
    const values = [
      int4Array(partitions.map(({ partition }) => partition)),
      int8Array(partitions.map(({ generation }) => generation)),
    ]
    return this.#arrange(group, (run) => run(this.#sql.release, [group, id, ...values]))
  }

  arrange(group: number): Promise<void> {
    return this.#arrange(group, async () => [])
  }

  /** Stores positions where member and generation still fit; gives the partitions where they did. */
  async commit(
    { group, id }: Member,
    positions: readonly (PartitionPosition & { readonly generation: number })[],
  ): Promise<ReadonlySet<number>> {
    const rows = await this.#connection.run<{ partition: number }>(this.#sql.commit, [
      group,
      id,
      int4Array(positions.map(({ partition }) => partition)),
      int8Array(positions.map(({ generation }) => generation)),
      int8Array(positions.map(({ position }) => position)),
    ])
    return new Set(rows.map(({ partition }) => partition))
  }

  /** One change of the group, the removal of who is overdue, and the new assignment, under the group's lock. */
  async #arrange(group: number, change: (run: Run) => Promise<unknown>): Promise<void> {
    await this.#connection.transaction(async (run) => {
      await run(this.#sql.lock, [group])
      await change(run)
      await run(this.#sql.bury, [group])
      await run(this.#sql.takeBack, [group])
      const members = (await run<{ id: string }>(this.#sql.members, [group])).map(({ id }) => id)
      if (members.length === 0) return
      const rows = await run<Omit<PartitionState, 'member'> & { member: string | null }>(
        this.#sql.partitions,
        [group],
      )
      const { give, revoke } = plan(
        members,
        rows.map((row) => ({ ...row, member: row.member ?? undefined })),
      )
      if (give.length > 0)
        await run(this.#sql.give, [
          group,
          int4Array(give.map(({ partition }) => partition)),
          textArray(give.map(({ member }) => member)),
        ])
      if (revoke.length > 0) await run(this.#sql.revoke, [group, int4Array(revoke)])
    })
    this.#wake.changed(groupTopic(group))
  }
}

export function groupTopic(group: number): string {
  return `g${group}`
}

// What every case about consumer groups starts from: a fresh stream and group, and times that fit the engine.
import type { CommittedPosition, StreamPort } from '../../../ports/stream.ts'
import { fresh } from '../sample.ts'
import { type StreamCase, streamBench } from '../stream/bench.ts'
import type { EngineSubject } from '../subject.ts'
import { Ledger } from './ledger.ts'

export type GroupCase = StreamCase

export interface GroupBench {
  readonly stream: string
  readonly group: string
  readonly partitions: number
  readonly one: StreamPort
  readonly two: StreamPort
  /** The shortest session of the engine, or one that a loaded machine does not miss. */
  readonly sessionMs: number
  /** How long partitions may take to move: a session and time to agree. */
  readonly patienceMs: number
  readonly ledger: Ledger
}

export async function groupBench(subject: EngineSubject, partitions: number): Promise<GroupBench> {
  const { stream, one, two } = await streamBench(subject, { partitions })
  const sessionMs = Math.max(one.limits.minSessionMs, 2_500)
  return {
    stream,
    group: fresh('group'),
    partitions,
    one,
    two,
    sessionMs,
    patienceMs: sessionMs + 12_000,
    ledger: new Ledger(),
  }
}

/** The same group name on another stream, or another group on the same one. */
export function otherGroup(
  bench: GroupBench,
  other: { readonly stream?: string; readonly group?: string },
): GroupBench {
  return { ...bench, ...other, ledger: new Ledger() }
}

export async function committed(bench: GroupBench, port: StreamPort): Promise<(number | null)[]> {
  const positions: CommittedPosition[] = await port.committed(bench.stream, bench.group)
  return [...positions].sort((a, b) => a.partition - b.partition).map(({ position }) => position)
}

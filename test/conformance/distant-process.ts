// The process of a distant member: joins the group that its parent names, tells what it is given and what is taken,
// commits when asked. It ends with its parent.
import type { CommitResult, PartitionPosition } from '../../src/ports/stream.ts'
import { type EngineAddress, openAt } from './engines.ts'

export interface Joining {
  readonly address: EngineAddress
  readonly stream: string
  readonly group: string
  readonly sessionMs: number
}

export type Order = { readonly join: Joining } | { readonly commit: readonly PartitionPosition[] }

export type Report =
  | { readonly joined: true }
  | { readonly held: readonly number[]; readonly lost: readonly number[] }
  | { readonly results: readonly CommitResult[] }
  | { readonly failed: string }

const tell = (report: Report) => process.send!(report)
const held = new Set<number>()
const lost = new Set<number>()
const tellState = () => tell({ held: [...held], lost: [...lost] })
let commit: ((positions: readonly PartitionPosition[]) => Promise<CommitResult[]>) | undefined

async function join({ address, stream, group, sessionMs }: Joining): Promise<void> {
  const engine = await openAt(address)
  const membership = await engine.stream!.join(stream, group, {
    sessionMs,
    assigned(partitions) {
      for (const { partition } of partitions) held.add(partition)
      tellState()
    },
    async revoked(partitions, gone) {
      for (const partition of partitions) {
        held.delete(partition)
        if (gone) lost.add(partition)
      }
      tellState()
    },
    failed: (error) => tell({ failed: error.message }),
  })
  commit = (positions) => membership.commit(positions)
  tell({ joined: true })
}

process.on('disconnect', () => process.exit())
process.on('message', (order: Order) => {
  const work = 'join' in order ? join(order.join) : commit!(order.commit).then((results) => tell({ results }))
  work.catch((error: Error) => tell({ failed: `${error.message}\n${error.stack}` }))
})

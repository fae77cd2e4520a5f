// Faults of consumer groups, planted in front of the in-memory engine.
import { isSpillwayError } from '../../../src/core/errors.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { CommittedPosition, JoinOptions, Membership, StreamPort } from '../../../src/ports/stream.ts'
import { type Fault, override, streamFault } from './fault.ts'
import { whole } from './stream.ts'

/** A join with changed callbacks, and a membership that may be changed too. */
function joined(
  change: (options: JoinOptions) => Partial<JoinOptions>,
  changed: (membership: Membership) => Partial<Membership> = () => ({}),
) {
  return (port: StreamPort): Partial<StreamPort> => ({
    async join(stream, group, options) {
      const { sessionMs } = options
      const callbacks: JoinOptions = {
        sessionMs,
        assigned: (partitions) => options.assigned(partitions),
        revoked: (partitions, lost) => options.revoked(partitions, lost),
        failed: (error) => options.failed(error),
      }
      const membership = await port.join(stream, group, { ...callbacks, ...change(callbacks) })
      return override(membership, changed(membership))
    },
  })
}

export const groupFaults: readonly Fault<Engine>[] = [
  streamFault('a partition belongs to nobody', ['groups.assigned.alone', 'groups.assigned.even'], () =>
    joined(({ assigned }) => ({
      assigned: (partitions) => assigned(partitions.filter(({ partition }) => partition !== 1)),
    })),
  ),
  streamFault('a partition is given to two members', ['groups.assigned.at-once'], () => {
    const given = new Map<string, { options: JoinOptions; had: Set<number> }[]>()
    return (port) => ({
      join(stream, group, options) {
        const members = given.get(`${stream} ${group}`) ?? []
        given.set(`${stream} ${group}`, members)
        const own = { options, had: new Set<number>() }
        members.push(own)
        return port.join(stream, group, {
          sessionMs: options.sessionMs,
          revoked: (partitions, lost) => options.revoked(partitions, lost),
          failed: (error) => options.failed(error),
          assigned(partitions) {
            options.assigned(partitions)
            const [first] = partitions
            const other = members.find((member) => member !== own && !member.had.has(first!.partition))
            other?.had.add(first!.partition)
            if (first !== undefined) other?.options.assigned([first])
          },
        })
      },
    })
  }),
  streamFault(
    'one member at most holds anything',
    ['groups.assigned.more-members', 'groups.assigned.even'],
    () => {
      const first = new Set<string>()
      return (port) => ({
        join(stream, group, options) {
          const idle = first.has(`${stream} ${group}`)
          first.add(`${stream} ${group}`)
          return joined(({ assigned }) => ({ assigned: idle ? () => {} : assigned }))(port).join!(
            stream,
            group,
            options,
          )
        },
      })
    },
  ),
  streamFault(
    'the position that comes with a partition is 0 where none was committed',
    ['groups.assigned.alone'],
    () =>
      joined(({ assigned }) => ({
        assigned: (partitions) =>
          assigned(partitions.map((each) => ({ ...each, position: each.position ?? 0 }))),
      })),
  ),
  streamFault('leaving does not call revoked', ['groups.leave'], () => (port) => ({
    async join(stream, group, options) {
      let leaving = false
      const inner = joined(
        ({ revoked }) => ({
          revoked: async (partitions, lost) => (leaving ? undefined : revoked(partitions, lost)),
        }),
        (membership) => ({
          leave() {
            leaving = true
            return membership.leave()
          },
        }),
      )
      return inner(port).join!(stream, group, options)
    },
  })),
  streamFault('who leaves at once stays', ['groups.leave.while-joining'], () => (port) => ({
    async join(stream, group, options) {
      let held = false
      const inner = joined(
        ({ assigned }) => ({
          assigned(partitions) {
            held = true
            assigned(partitions)
          },
        }),
        (membership) => ({ leave: async () => (held ? membership.leave() : undefined) }),
      )
      return inner(port).join!(stream, group, options)
    },
  })),
  streamFault('commits of one group are seen in others', ['groups.apart'], () => {
    let last: { stream: string; group: string } | undefined
    return (port) => ({
      join(stream, group, options) {
        const inner = joined(
          () => ({}),
          (membership) => ({
            commit(positions) {
              last = { stream, group }
              return membership.commit(positions)
            },
          }),
        )
        return inner(port).join!(stream, group, options)
      },
      committed: (stream, group) => port.committed(last?.stream ?? stream, last?.group ?? group),
    })
  }),
  streamFault('a membership ends after its session', ['groups.kept-alive'], () => (port) => ({
    join(stream, group, options) {
      const held = new Set<number>()
      const inner = joined(({ assigned, revoked }) => ({
        assigned(partitions) {
          for (const { partition } of partitions) held.add(partition)
          assigned(partitions)
          setTimeout(() => revoked([...held], true), options.sessionMs).unref()
        },
      }))
      return inner(port).join!(stream, group, options)
    },
  })),
  {
    what: 'close calls revoked',
    fails: ['groups.closed'],
    plant: () => (engine) => {
      const ends: (() => unknown)[] = []
      const planted = streamFault('', [], () => (port) => ({
        join(stream, group, options) {
          const held = new Set<number>()
          ends.push(() => held.size > 0 && options.revoked([...held], true))
          const inner = joined(({ assigned }) => ({
            assigned(partitions) {
              for (const { partition } of partitions) held.add(partition)
              assigned(partitions)
            },
          }))
          return inner(port).join!(stream, group, options)
        },
      })).plant()(engine)
      return override(planted, {
        async close() {
          for (const end of ends) end()
          await engine.close()
        },
      })
    },
  },
  streamFault('a commit after close is stale, not refused', ['groups.closed'], () =>
    joined(
      () => ({}),
      (membership) => ({
        async commit(positions) {
          try {
            return await membership.commit(positions)
          } catch (error) {
            if (isSpillwayError(error, 'CLOSED')) return positions.map(() => 'stale')
            throw error
          }
        },
      }),
    ),
  ),
  streamFault(
    'a group that never committed is at 0',
    ['groups.committed.none', 'groups.commit.stores'],
    () => (port) => ({
      committed: async (stream, group) =>
        (await port.committed(stream, group)).map((each) => ({ ...each, position: each.position ?? 0 })),
    }),
  ),
  streamFault('a position is made one', ['groups.commit.numbers'], () =>
    joined(
      () => ({}),
      (membership) => ({
        commit: (positions) =>
          membership.commit(positions.map((each) => ({ ...each, position: whole(each.position) }))),
      }),
    ),
  ),
  streamFault('a commit never goes back', ['groups.commit.stores'], () => (port) => ({
    join(stream, group, options) {
      const inner = joined(
        () => ({}),
        (membership) => ({
          async commit(positions) {
            const before = new Map(
              (await port.committed(stream, group)).map((each) => [each.partition, each.position]),
            )
            return membership.commit(
              positions.map(({ partition, position }) => ({
                partition,
                position: Math.max(position, before.get(partition) ?? 0),
              })),
            )
          },
        }),
      )
      return inner(port).join!(stream, group, options)
    },
  })),
  streamFault('a partition comes without its position', ['groups.commit.handed-on', 'groups.work'], () =>
    joined(({ assigned }) => ({
      assigned: (partitions: readonly CommittedPosition[]) =>
        assigned(partitions.map(({ partition }) => ({ partition, position: null }))),
    })),
  ),
  streamFault(
    'a stale commit is accepted',
    [
      'groups.commit.stale',
      'groups.commit.stale.moved',
      'groups.revoked.at-most-session',
      'groups.leave.at-most-session',
    ],
    () =>
      joined(
        () => ({}),
        (membership) => ({
          async commit(positions) {
            await membership.commit(positions)
            return positions.map(() => 'committed')
          },
        }),
      ),
  ),
  streamFault('nobody waits for revoked', ['groups.revoked.waits'], () =>
    joined(({ revoked }) => ({
      async revoked(partitions, lost) {
        revoked(partitions, lost).catch(() => {})
      },
    })),
  ),
  streamFault('a revoked that rejects ends the membership', ['groups.revoked.rejects'], () =>
    joined(({ revoked, failed }) => ({
      revoked: (partitions, lost) => revoked(partitions, lost).catch((error: Error) => failed(error)),
    })),
  ),
  streamFault('leave waits for revoked for ever', ['groups.leave.at-most-session'], () => (port) => ({
    join(stream, group, options) {
      let ending: Promise<void> = Promise.resolve()
      const inner = joined(
        ({ revoked }) => ({
          revoked(partitions, lost) {
            ending = revoked(partitions, lost)
            return ending
          },
        }),
        (membership) => ({
          async leave() {
            await membership.leave()
            await ending
          },
        }),
      )
      return inner(port).join!(stream, group, options)
    },
  })),
]

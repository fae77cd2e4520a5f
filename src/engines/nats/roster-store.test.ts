// Compare-and-set on a real server: what makes a commit of a former holder fail, and a change of the roster never lost.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packagedNats, type RunningServer, nats as server } from '../../../test/servers/index.ts'
import { Api } from './api.ts'
import { enter } from './assignment.ts'
import { loadClient } from './client.ts'
import { Link } from './link.ts'
import { Names } from './names.ts'
import { RosterStore } from './roster-store.ts'

for (const launcher of [server, packagedNats]) {
  const missing = await launcher.missing()
  describe.skipIf(missing)(launcher.name, () => {
    const stream = { name: 'orders', partitions: 2, names: new Names('test').stream('orders') }
    const links: Link[] = []
    let started: RunningServer
    let one: RosterStore
    let two: RosterStore

    beforeAll(async () => {
      started = await launcher.start()
      const client = await loadClient()
      for (const _ of [1, 2])
        links.push(await Link.open(client, { servers: new URL(started.url).host, reconnect: false }))
      const apis = links.map((link) => new Api(link, 5_000, undefined))
      const { groups, groupsBase } = stream.names
      await apis[0]!.createStream({ name: groups, subjects: [`${groupsBase}.>`], max_msgs_per_subject: 1 })
      one = new RosterStore(apis[0]!, stream, 'group')
      two = new RosterStore(apis[1]!, stream, 'group')
    })
    afterAll(async () => {
      await Promise.all(links.map((link) => link.close()))
      await started?.stop()
    })

    test('changes made at once by several are all kept', async () => {
      const members = Array.from({ length: 24 }, (_, index) => ({ id: `m${index}`, sessionMs: 1_000 }))
      await Promise.all(
        members.map((member, index) => (index % 2 ? one : two).update((roster) => enter(roster, member))),
      )
      const { roster } = await one.read()
      expect(roster.members.map(({ id }) => id).sort()).toEqual(members.map(({ id }) => id).sort())
    })

    test('once a partition is acquired in a higher epoch, commits of the holder before are stale', async () => {
      const before = await one.acquire(0, 1)
      expect(await one.commit(before!, 10)).toBe('committed')
      const after = await two.acquire(0, 2)
      expect(after).toMatchObject({ position: 10 })
      expect(await one.commit(before!, 99)).toBe('stale')
      expect(await one.acquire(0, 1)).toBeUndefined()
      expect(await two.commit(after!, 5)).toBe('committed')
      expect(await one.committed()).toEqual([
        { partition: 0, position: 5 },
        { partition: 1, position: null },
      ])
    })

    test('of two that acquire at once, the one with the lower epoch cannot commit', async () => {
      for (let epoch = 10; epoch < 30; epoch += 2) {
        const [lower, higher] = await Promise.all([one.acquire(1, epoch), two.acquire(1, epoch + 1)])
        expect(higher).toBeDefined()
        if (lower !== undefined) expect(await one.commit(lower, 1)).toBe('stale')
        expect(await two.commit(higher!, 2)).toBe('committed')
      }
    })
  })
}

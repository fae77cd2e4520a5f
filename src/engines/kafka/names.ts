// What streams and groups a cluster has that are ours. Kafka has no labels for topics: those that we create carry a mark.
import type { Cluster } from './cluster.ts'
import { mark, type Topics } from './topics.ts'

/** Asked for at once: the cluster answers each of them with many settings. */
const topicsAtOnce = 100

/** The topics that were created for streams. */
export async function streamNames(cluster: Cluster, topics: Topics): Promise<string[]> {
  const all = await cluster.persist(() => cluster.names())
  const found: string[] = []
  for (let from = 0; from < all.length; from += topicsAtOnce) {
    const settings = await topics.settingsOf(all.slice(from, from + topicsAtOnce), mark.name)
    for (const [name, value] of settings) if (value === mark.value) found.push(name)
  }
  return found.sort()
}

/** The groups of a stream: every broker tells those that it keeps. `suffix` ends the names of their Kafka groups. */
export async function groupNames(cluster: Cluster, suffix: string): Promise<string[]> {
  const found = new Set<string>()
  for (const node of cluster.brokers.keys())
    for (const { groupId } of await groupsAt(cluster, node))
      if (groupId.endsWith(suffix)) found.add(groupId.slice(0, -suffix.length))
  return [...found].filter((name) => name !== '' && !name.includes('@')).sort()
}

async function groupsAt(cluster: Cluster, node: number): Promise<readonly { readonly groupId: string }[]> {
  return await cluster.persist(async () => {
    const link = await cluster.link('control', node)
    const answer = await link.call(cluster.client.listGroupsV4.api, [], [])
    cluster.check(answer.errorCode)
    return answer.groups
  })
}

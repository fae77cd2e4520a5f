// The Kafka engine: streams on a Kafka cluster. It has no queue; queues live on the other engines.
import { SpillwayError } from '../../core/errors.ts'
import { readTls, type TlsFiles } from '../../core/tls.ts'
import type { Durability, Engine, EngineOptions } from '../../ports/engine.ts'
import { loadClient } from './client.ts'
import { Cluster } from './cluster.ts'
import { type Found, join, judge, requirePowerLoss } from './durability.ts'
import { translate } from './errors.ts'
import { KafkaStream } from './stream.ts'
import { type TopicOptions, Topics } from './topics.ts'
import { type Credentials, mechanismOf, parseUrl } from './url.ts'

export interface KafkaOptions extends EngineOptions, TopicOptions {
  /**
   * `kafka://host:port`, several brokers separated by commas; the port is 9092 unless given. With `user:password@` in front, and
   * `?sasl=scram-sha-512&tls=true&ca=…&cert=…&key=…` behind.
   */
  readonly url: string
  /** `true`: as Node trusts; or files or texts in PEM. Default: what the URL says, which is no TLS where it says nothing. */
  readonly tls?: boolean | TlsFiles
  /** Default: what the URL says. */
  readonly sasl?: Credentials
  /** By which name the brokers know this program in their logs and quotas. Default 'spillway'. */
  readonly clientId?: string
  /** How long a call goes on trying while the cluster does not serve it, in milliseconds. Default 15,000. */
  readonly timeoutMs?: number
}

const newTopics = 'new topics'

/** Connects to the cluster; the brokers named in the URL are asked for the others. Needs `@platformatic/kafka`. */
export async function kafka(options: KafkaOptions): Promise<Engine> {
  const url = parseUrl(options.url)
  const { seeds, shown } = url
  checkOptions(options)
  const tls = readTls('kafka', options.tls ?? url.tls)
  const sasl = options.sasl ?? url.credentials
  const client = await loadClient()
  const timeoutMs = options.timeoutMs ?? 15_000
  const cluster = new Cluster(client, seeds, {
    clientId: options.clientId ?? 'spillway',
    connectTimeoutMs: Math.min(3000, timeoutMs / 2),
    timeoutMs,
    ...(tls === undefined ? {} : { tls }),
    ...(sasl === undefined ? {} : { sasl: { ...sasl, mechanism: mechanismOf(sasl.mechanism) } }),
  })
  try {
    return await open(cluster, options, shown)
  } catch (thrown) {
    await cluster.close()
    throw translate(thrown, `connecting to ${shown}`)
  }
}

async function open(cluster: Cluster, options: KafkaOptions, url: string): Promise<Engine> {
  await cluster.within(cluster.discover(), cluster.options.timeoutMs)
  const topics = new Topics(cluster, options)
  const broker = await topics.settings('broker', String([...cluster.brokers.keys()][0]))
  topics.setDefaultLimit(broker)
  const hosts = new Set([...cluster.brokers.values()].map(({ host }) => host)).size
  const expected = { ...Object.fromEntries(broker), ...options.topicConfig }
  let durability = judge(
    found(newTopics, topics.replicas, hosts, {
      ...expected,
      'min.insync.replicas': String(topics.minInSync),
      'flush.messages': options.topicConfig?.['flush.messages'] ?? broker.get('log.flush.interval.messages'),
    }),
  )
  if (options.strict) requirePowerLoss(durability)
  const stream = new KafkaStream({
    cluster,
    topics,
    minSessionMs: Number(broker.get('group.min.session.timeout.ms') ?? 6000),
    declared: (name, replicas, settings) => {
      const facts = found(`topic ${name}`, replicas, hosts, Object.fromEntries(settings))
      const own = judge(facts)
      if (options.strict) requirePowerLoss(own)
      // Only what is weaker than expected is worth a word.
      const asExpected = judge({ ...facts, what: newTopics })
      if (asExpected.weaknesses.some((weakness) => !durability.weaknesses.includes(weakness)))
        durability = join(durability, own)
    },
  })
  let closing: Promise<void> | undefined
  return {
    name: 'kafka',
    url,
    get durability(): Durability {
      return durability
    },
    queue: undefined,
    stream,
    close() {
      closing ??= stream.close()
      return closing
    },
  }
}

function found(
  what: string,
  replicas: number,
  hosts: number,
  settings: Readonly<Record<string, string | undefined>>,
): Found {
  const flush = settings['flush.messages']
  return {
    what,
    replicas,
    minInSync: Number(settings['min.insync.replicas'] ?? 1),
    flushMessages: flush === undefined ? undefined : Number(flush),
    uncleanElection: settings['unclean.leader.election.enable'] === 'true',
    hosts,
  }
}

function checkOptions({ replicas, timeoutMs }: KafkaOptions): void {
  if (replicas !== undefined && (!Number.isInteger(replicas) || replicas < 1))
    throw new SpillwayError('INVALID_OPTION', `replicas is ${replicas}; it takes a whole number from 1.`)
  if (timeoutMs !== undefined && !(timeoutMs >= 100 && timeoutMs <= 600_000))
    throw new SpillwayError('INVALID_OPTION', `timeoutMs is ${timeoutMs}; it takes 100 to 600,000.`)
}

/** One Kafka broker that is its own controller (KRaft), from the jars in the cache folder, on the installed Java. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { launch } from './launch.ts'
import type { Launcher, StartOptions } from './launcher.ts'
import { prepared } from './prepared.ts'
import { cacheFolder, findProgram, howToGet, run } from './programs.ts'
import type { Place } from './recipe.ts'

export interface KafkaOptions extends StartOptions {
  /** Put into the broker's configuration, as in `{ 'log.flush.interval.messages': '1' }` (sync every batch). */
  readonly settings?: Readonly<Record<string, string>>
  /** Besides the one of the URL, which is neither encrypted nor asks who comes: by name, what settings say of each stands in `settings`. */
  readonly listeners?: Readonly<
    Record<string, { readonly port: number; readonly protocol: 'SSL' | 'SASL_SSL' | 'SASL_PLAINTEXT' }>
  >
  /** Users for SCRAM: `SCRAM-SHA-256=[name=…,password=…]`. */
  readonly scram?: readonly string[]
  /** Default 256. */
  readonly heapMb?: number
  /** Compiled as well as Java can, for those who measure it. A broker that lives for a minute spends half of its processor time on that. Default false. */
  readonly compiled?: boolean
  /** Further arguments for Java, as in `['-Xlog:gc']`. */
  readonly jvm?: readonly string[]
}

const OLDEST_JAVA = 17
/** The file, among the jars, with classes that Java has parsed before. */
export const ARCHIVE = 'classes.jsa'
/** Any 16 bytes do: every broker here is a cluster of its own. */
const CLUSTER_ID = 'c3BpbGx3YXktc2VydmVycw'

export const kafka: Launcher<KafkaOptions> = {
  name: 'kafka',
  async missing() {
    if (findJars() === undefined) return `Kafka's jars are not in ${cacheFolder}: ${howToGet('kafka')}`
    const java = findJava()
    const printed = java === undefined ? '' : await run(java, ['-version']).catch(() => '')
    const version = Number(/version "(\d+)/.exec(printed)?.[1] ?? 0)
    return version < OLDEST_JAVA
      ? `Kafka needs Java ${OLDEST_JAVA} or newer: ${howToGet('kafka')}`
      : undefined
  },
  async start(options = {}) {
    const [java, jars] = [findJava(), findJars()]
    if (java === undefined || jars === undefined) throw new Error(await kafka.missing())
    const heap = [`-Xmx${options.heapMb ?? 256}m`, '-XX:+UseSerialGC', '-XX:-UsePerfData']
    const shared = existsSync(jars.archive) ? [`-XX:SharedArchiveFile=${jars.archive}`] : []
    const classes = ['-cp', jars.classPath, '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
    const compiler = options.compiled ? [] : ['-XX:TieredStopAtLevel=1']
    const jvm = [...heap, ...compiler, ...shared, ...classes]
    const properties = (place: Place) => join(place.folder, 'server.properties')
    return await launch(
      {
        name: 'kafka',
        stopSignal: 'SIGTERM',
        url: ({ port }) => `kafka://127.0.0.1:${port}`,
        async prepare(place) {
          const lines = Object.entries({ ...broker(place, options), ...options.settings })
          writeFileSync(properties(place), lines.map(([key, value]) => `${key}=${value}\n`).join(''))
          const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties(place)]
          const users = (options.scram ?? []).flatMap((user) => ['--add-scram', user])
          const what = [jars.classPath, CLUSTER_ID, users]
          await prepared(place.data, 'kafka', what, () => run(java, [...jvm, ...format, ...users]))
        },
        command: (place) => [java, ...jvm, ...(options.jvm ?? []), 'kafka.Kafka', properties(place)],
        async probe({ port }) {
          // Only now: the client takes half a second to load, which other servers' tests need not wait for.
          const { Admin } = await import('@platformatic/kafka')
          const bootstrapBrokers = [`127.0.0.1:${port}`]
          const admin = new Admin({ clientId: 'probe', bootstrapBrokers, retries: 0, timeout: 2_000 })
          try {
            const { brokers } = await admin.metadata({})
            if (brokers.size === 0) throw new Error('The broker has not registered with its controller yet')
            // Kafka has no request that tells its version.
            return jars.version
          } finally {
            await admin.close().catch(() => {})
          }
        },
      },
      options,
    )
  },
}

function broker(
  { data, port, innerPort }: Place,
  { listeners = {} }: KafkaOptions,
): Record<string, string | number> {
  const more = Object.entries(listeners)
  const addresses = [
    `CLIENT://127.0.0.1:${port}`,
    ...more.map(([name, own]) => `${name}://127.0.0.1:${own.port}`),
  ]
  const protocols = [
    'CLIENT:PLAINTEXT',
    'CONTROLLER:PLAINTEXT',
    ...more.map(([name, { protocol }]) => `${name}:${protocol}`),
  ]
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${innerPort}`,
    listeners: [...addresses, `CONTROLLER://127.0.0.1:${innerPort}`].join(),
    'advertised.listeners': addresses.join(),
    'listener.security.protocol.map': protocols.join(),
    'inter.broker.listener.name': 'CLIENT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': data,
    'auto.create.topics.enable': 'false',
    // A cluster of one.
    ...replicatedOnce('offsets.topic', 'transaction.state.log', 'share.coordinator.state.topic'),
    // Groups form at once, and tests may ask for short sessions.
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1_000,
    'group.consumer.min.session.timeout.ms': 1_000,
    'group.consumer.min.heartbeat.interval.ms': 100,
    // After a kill the controller holds the broker's old session; until that ends, the new one is kept waiting.
    'broker.heartbeat.interval.ms': 200,
    'broker.session.timeout.ms': 1_500,
    // Small.
    'num.network.threads': 2,
    'num.io.threads': 2,
    'log.cleaner.dedupe.buffer.size': 2 * 1024 * 1024,
  }
}

function replicatedOnce(...topics: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    topics.flatMap((topic) => [
      [`${topic}.num.partitions`, 1],
      [`${topic}.replication.factor`, 1],
      ...(topic.startsWith('offsets') ? [] : [[`${topic}.min.isr`, 1]]),
    ]),
  )
}

function findJava(): string | undefined {
  const home = process.env.JAVA_HOME
  return findProgram('java', home === undefined ? [] : [join(home, 'bin')])
}

interface Jars {
  readonly version: string
  readonly classPath: string
  /** Classes already parsed, if `get-servers.ts` left them: the broker is up in half the time. */
  readonly archive: string
}

function findJars(): Jars | undefined {
  try {
    const versions = readdirSync(cacheFolder).flatMap((entry) => /^kafka-(\d[\w.]*)$/.exec(entry)?.[1] ?? [])
    const version = versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
    if (version === undefined) return undefined
    const folder = join(cacheFolder, `kafka-${version}`)
    // Sorted, because Java uses the archive only with the very class path it was made with.
    const jars = readdirSync(folder)
      .filter((file) => file.endsWith('.jar'))
      .sort()
    const classPath = jars.map((jar) => join(folder, jar)).join(delimiter)
    return { version, classPath, archive: join(folder, ARCHIVE) }
  } catch {
    return undefined
  }
}

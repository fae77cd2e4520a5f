/** The real servers tests can start, on Linux and macOS. Each says itself whether it can run on this machine. */
import { kafka } from './kafka.ts'
import type { Launcher } from './launcher.ts'
import { nats, packagedNats } from './nats.ts'
import { embeddedPostgres, systemPostgres } from './postgres.ts'
import { redis } from './redis.ts'

export { type EnvoyOptions, envoy } from './envoy.ts'
export { type KafkaOptions, kafka } from './kafka.ts'
export type { Launcher, RunningServer, StartOptions } from './launcher.ts'
export { type NatsOptions, nats, packagedNats } from './nats.ts'
export { type NginxOptions, nginx } from './nginx.ts'
export { type PgBouncerOptions, pgbouncer } from './pgbouncer.ts'
export { embeddedPostgres, type PostgresOptions, systemPostgres } from './postgres.ts'
export { type RedisOptions, redis } from './redis.ts'
export { type RedisCluster, redisCluster } from './redis-cluster.ts'

export const launchers: readonly Launcher[] = [
  systemPostgres,
  embeddedPostgres,
  kafka,
  redis,
  nats,
  packagedNats,
]

/** The first that can run here; without any the first one, and why it cannot. */
export async function firstOf(...from: readonly Launcher[]): Promise<[Launcher, string | undefined]> {
  for (const launcher of from) if ((await launcher.missing()) === undefined) return [launcher, undefined]
  return [from[0]!, await from[0]!.missing()]
}

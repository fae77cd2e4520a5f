// spillway/redis: the engine on Redis, for the buckets of limits that several processes share.
export { type RedisOptions, redis } from './engine.ts'

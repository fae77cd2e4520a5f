// spillway/nats: the engine on NATS JetStream, for queues and streams.
export { type NatsOptions, nats } from './engine.ts'

// spillway/kafka: the engine on Apache Kafka, for streams.
export { type KafkaOptions, kafka } from './engine.ts'

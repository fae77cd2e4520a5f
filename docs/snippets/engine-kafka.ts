import { open, unchecked } from 'spillway'
import { kafka } from 'spillway/kafka'

const url = process.env.KAFKA_URL ?? 'kafka://127.0.0.1:9092'
const engine = await kafka({ url, clientId: 'billing', topicConfig: { 'retention.ms': '604800000' } })
await using spillway = await open(engine)
console.log(spillway.durability.level) // process: a single broker that flushes later
const visits = await spillway.stream('visits', { data: unchecked<string>(), partitions: 4 })
await visits.append('/index.html')
for await (const { message } of visits.read()) console.log(message.data) // /index.html

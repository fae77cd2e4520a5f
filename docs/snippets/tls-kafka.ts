import { open } from 'spillway'
import { kafka } from 'spillway/kafka'

// By URL alone: kafka://app:p%40ss@kafka.example?sasl=scram-sha-512&tls=true&ca=/etc/spillway/ca.pem
const { KAFKA_HOST = 'kafka.example', KAFKA_PASSWORD = '', KAFKA_CA = '/etc/spillway/ca.pem' } = process.env
const engine = await kafka({
  url: `kafka://${KAFKA_HOST}`,
  sasl: { mechanism: 'SCRAM-SHA-512', username: 'app', password: KAFKA_PASSWORD },
  tls: { ca: KAFKA_CA }, // and cert, key, where the brokers ask for a certificate
})
await using spillway = await open(engine)
console.log(engine.url === `kafka://${KAFKA_HOST}`, spillway.durability.level) // true process

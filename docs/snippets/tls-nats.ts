import { open } from 'spillway'
import { nats } from 'spillway/nats'

// By URL alone: nats://app:p%40ss@nats.example?tls=true&ca=/etc/spillway/ca.pem
const { NATS_HOST = 'nats.example', NATS_PASSWORD = '', NATS_CA = '/etc/spillway/ca.pem' } = process.env
const engine = await nats({
  url: `nats://${NATS_HOST}`,
  user: 'app',
  password: NATS_PASSWORD,
  tls: { ca: NATS_CA }, // and cert, key, where the server asks for a certificate
})
await using spillway = await open(engine)
console.log(engine.url === `nats://${NATS_HOST}`, spillway.durability.level) // true process

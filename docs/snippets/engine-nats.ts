import { open, unchecked } from 'spillway'
import { nats } from 'spillway/nats'

// The URL alone does the same: what is an option here is a parameter there (`?monitor=…&prefix=…`).
const { NATS_URL = 'nats://127.0.0.1', NATS_MONITOR = 'http://127.0.0.1:8222' } = process.env
const engine = await nats({ url: NATS_URL, monitor: NATS_MONITOR, strict: true, timeoutMs: 10_000 })
await using spillway = await open(engine)
console.log(spillway.durability.level) // power-loss: the monitoring port says that the server syncs first
const emails = await spillway.queue('emails', { data: unchecked<string>() })
await emails.send('ada@example.org')
console.log((await emails.count()).ready) // 1

import { open, unchecked } from 'spillway'
import { postgres } from 'spillway/postgres'

// The URL alone does the same; the factory takes options.
const url = process.env.DATABASE_URL ?? 'postgres://app@127.0.0.1/app'
const engine = await postgres({ url, schema: 'spillway', poolSize: 20, strict: true })
await using spillway = await open(engine)
console.log(spillway.durability.level) // power-loss
const emails = await spillway.queue('emails', { data: unchecked<string>() })
await emails.send('ada@example.org')
console.log((await emails.count()).ready) // 1

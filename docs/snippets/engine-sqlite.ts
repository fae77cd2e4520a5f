import { open, unchecked } from 'spillway'
import { sqlite } from 'spillway/sqlite'

// The URL `sqlite:./data` does the same; the factory takes options.
const engine = await sqlite({ path: './data', busyTimeoutMs: 10_000, strict: true })
await using spillway = await open(engine)
console.log(spillway.durability.level) // power-loss
const emails = await spillway.queue('emails', { data: unchecked<string>() })
await emails.send('ada@example.org')
console.log((await emails.count()).ready) // 1

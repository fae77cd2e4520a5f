import { open, unchecked } from 'spillway'
import { fakeClock, memory, memoryStore } from 'spillway/testing'

const clock = fakeClock()
const store = memoryStore({ clock, maxMessages: 10_000 })
await using spillway = await open(memory({ store }), { clock })
const emails = await spillway.queue('emails', { data: unchecked<string>() })
await emails.send('ada@example.org', { delay: '1h' })
await clock.advance('1h')
await using again = await open(memory({ store }), { clock }) // as another process on the same server
console.log((await (await again.queue('emails', { data: unchecked<string>() })).count()).ready) // 1

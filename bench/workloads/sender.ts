// A process that sends 100 messages a second to a queue that another process consumes. Arguments: system, url, count.
import { systems } from '../systems/index.ts'
import { sendPaced } from './latency.ts'

const [name, url = '', count] = process.argv.slice(2)
const system = await systems.find((entry) => entry.name === name)!.queue!()
const queue = await system.open(url, 'latency')
await sendPaced(queue, Number(count))
await queue.close()
process.exit()

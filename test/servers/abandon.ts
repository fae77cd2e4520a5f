/** A process that starts the server named, says what to look for, and then ends in the way asked without stopping it. */
import { launchers } from './index.ts'
import { descendants } from './process-tree.ts'

const [name, how] = process.argv.slice(2)
const server = await launchers.find((launcher) => launcher.name === name)?.start()
if (server?.pid === undefined) throw new Error(`Could not start ${name}`)
console.log(JSON.stringify({ pids: [server.pid, ...descendants(server.pid)], folder: server.folder }))

// 'the end': nothing more to do.
if (how === 'an uncaught error') throw new Error('as asked')
if (how?.startsWith('SIG')) setInterval(() => process.kill(process.pid, how), 50)

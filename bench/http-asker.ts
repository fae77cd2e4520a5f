// Asks servers over eight connections each, as fast as they answer: told by its parent which one and how often, it says when it is done. Bytes are written as they are, so that who asks costs little.
import { connect, type Socket } from 'node:net'

const request =
  'GET /items/7?x=1 HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\naccept: */*\r\nx-user: ann\r\n\r\n'
const end = Buffer.from(']}')

let left = 0
let open = 0
const next = (socket: Socket): void => {
  if (left === 0) return
  left -= 1
  open += 1
  socket.write(request)
}

function connected(port: number): Socket {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  socket.on('close', () => process.exit(1))
  socket.on('data', (chunk) => {
    // One is under way on each, and its answer comes in one piece.
    if (!chunk.subarray(-end.length).equals(end)) return
    open -= 1
    next(socket)
    if (left === 0 && open === 0) process.send?.('done')
  })
  return socket
}

const servers = new Map(
  process.argv
    .slice(2)
    .map((port) => [Number(port), Array.from({ length: 8 }, () => connected(Number(port)))]),
)
process.on('message', ({ port, count }: { readonly port: number; readonly count: number }) => {
  left = count
  for (const socket of servers.get(port)!) next(socket)
})
process.on('disconnect', () => process.exit())

// Asks a server over eight connections, as fast as it answers: told how often by its parent, it says when it is done. Bytes are written as they are, so that who asks costs little.
import { connect, type Socket } from 'node:net'

const port = Number(process.argv[2])
const request =
  'GET /items/7?x=1 HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\naccept: */*\r\nx-user: ann\r\n\r\n'
const end = ']}'

let left = 0
let open = 0
const next = (socket: Socket): void => {
  if (left === 0) return
  left -= 1
  open += 1
  socket.write(request)
}

const sockets = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').setNoDelay(true))
for (const socket of sockets) {
  socket.on('close', () => process.exit(1))
  socket.on('data', (chunk) => {
    // One is under way on each, and its answer comes in one piece.
    if (!chunk.subarray(-end.length).equals(Buffer.from(end))) return
    open -= 1
    next(socket)
    if (left === 0 && open === 0) process.send?.('done')
  })
}
process.on('message', (count: number) => {
  left = count
  for (const socket of sockets) next(socket)
})

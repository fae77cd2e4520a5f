/** One question over a plain socket, for servers whose protocol starts with readable text. */
import { connect } from 'node:net'

/** Sends `question` (may be empty) and resolves to what came back as soon as it matches `until`. */
export function ask(port: number, question: string, until: RegExp, withinMs = 2_000): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect({ port, host: '127.0.0.1' })
    const end = (error: Error) => {
      socket.destroy()
      reject(error)
    }
    socket.setEncoding('utf8')
    socket.setTimeout(withinMs, () => end(new Error(`No answer within ${withinMs} ms, only: ${answer}`)))
    socket.on('error', end)
    socket.on('close', () => reject(new Error(`The connection closed after: ${answer}`)))
    socket.on('connect', () => socket.write(question))
    socket.on('data', (chunk: string) => {
      answer += chunk
      if (!until.test(answer)) return
      socket.destroy()
      resolve(answer)
    })
  })
}

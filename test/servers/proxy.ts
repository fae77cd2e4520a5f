/** A network that can be told to misbehave: stands between a client and a server on this machine. */
import { connect, createServer, type Server, type Socket } from 'node:net'

export class NetworkProxy {
  readonly port: number
  /** The port of the server. */
  target = 0
  /** How long every piece of data is under way, in each direction. */
  delayMs = 0
  /** How long every 64 KiB of data keep the line busy, in each direction: those behind them come later by that. */
  busyMs = 0
  readonly #server: Server
  readonly #pairs = new Set<readonly [near: Socket, far: Socket]>()
  #frozen = false
  #thaw: (() => void)[] = []

  private constructor(listening: Server) {
    this.#server = listening
    this.port = (listening.address() as { port: number }).port
    listening.on('connection', (near) => this.#serve(near))
  }

  static async start(): Promise<NetworkProxy> {
    const listening = createServer({ allowHalfOpen: true })
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    return new NetworkProxy(listening)
  }

  /** The same address through here. */
  through(url: string): string {
    return url.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${this.port}`)
  }

  /** Ends every connection in good order, whatever was under way. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
  }

  /** Ends every connection as a machine that lost its memory would. */
  reset(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy()
  }

  /** One direction of every connection ends, the other stays open: in turns towards the client, and towards the server. */
  halfClose(): void {
    for (const [index, pair] of [...this.#pairs].entries()) pair[index % 2]!.end()
  }

  /** Nothing arrives any more, and nobody is told. Resolves when all of it arrives after all. */
  async freeze(ms: number): Promise<void> {
    this.#frozen = true
    for (const pair of this.#pairs) for (const socket of pair) socket.pause()
    await new Promise((resolve) => setTimeout(resolve, ms))
    this.#frozen = false
    for (const go of this.#thaw.splice(0)) go()
    for (const pair of this.#pairs) for (const socket of pair) socket.resume()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(near: Socket): void {
    if (this.#frozen) {
      near.pause()
      this.#thaw.push(() => this.#serve(near))
      return
    }
    const far = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true })
    const pair = [near, far] as const
    this.#pairs.add(pair)
    this.#carry(near, far)
    this.#carry(far, near)
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        near.destroy()
        far.destroy()
        this.#pairs.delete(pair)
      })
    }
    near.resume()
  }

  #carry(from: Socket, to: Socket): void {
    let arrivesAt = 0
    const later = (act: () => void, bytes = 0) => {
      const busyMs = (this.busyMs * bytes) / 65_536
      arrivesAt = Math.max(arrivesAt + busyMs, performance.now() + busyMs + this.delayMs)
      const ms = arrivesAt - performance.now()
      if (ms <= 0) act()
      else setTimeout(act, ms)
    }
    from.on('data', (bytes) => later(() => to.writable && to.write(bytes), bytes.length))
    from.on('end', () => later(() => to.end()))
  }
}

// In front of a PostgreSQL server: what is asked goes through as it is, and what is answered may be kept, changed, or be the last.
import net, { type AddressInfo } from 'node:net'

/** Of one connection. */
export interface Between {
  /** What the client says; it goes on whatever comes of it. */
  asked?(data: Buffer): void
  /** What the client is given of an answer: undefined, and the connection is cut; with `last`, ended after it. */
  answered(data: Buffer): { readonly data: Buffer; readonly last?: boolean } | undefined
}

/** `between` is asked for with each connection. */
export async function answersBetween(
  url: string,
  between: () => Between,
): Promise<{ readonly url: string; close(): void }> {
  const target = new URL(url)
  const proxy = net.createServer((client) => {
    const server = net.connect(Number(target.port), target.hostname)
    const one = between()
    client.on('data', (data) => {
      one.asked?.(data)
      server.write(data)
    })
    server.on('data', (data) => {
      const given = one.answered(data)
      if (given === undefined) client.destroy()
      else if (given.last) client.end(given.data)
      else client.write(given.data)
    })
    for (const [end, other] of [
      [client, server],
      [server, client],
    ] as const)
      end.on('error', () => {}).on('close', () => other.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const address = new URL(url)
  address.port = `${(proxy.address() as AddressInfo).port}`
  return { url: address.href, close: () => proxy.close() }
}

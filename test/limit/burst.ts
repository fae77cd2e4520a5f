// Asking a gateway for more than it allows.
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'

/** What is undefined is not said. */
type Asked<Who extends string> = Readonly<Partial<Record<Who | 'method' | 'path', string>>>

/** Each request has a connection of its own. `names`: the headers that say so much of who asks. */
export function asking<Who extends string>(url: string, names: Readonly<Record<Who, string>>) {
  const { hostname: host, port } = new URL(url)
  /** Resolves with the status. */
  const ask = async (asked: Asked<Who> = {} as Asked<Who>): Promise<number> => {
    const { method = 'GET', path = '/' }: Asked<never> = asked
    const given = (Object.keys(names) as Who[]).map((who) => [names[who], asked[who]] as const)
    const headers = Object.fromEntries(given.filter(([, value]) => value !== undefined))
    const sent = request({ host, port, path, method, headers, agent: false })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    await text(response)
    return response.statusCode!
  }
  /** How many of so many at once are let through; the others are 429. */
  const allowed = async (times: number, asked?: Asked<Who>): Promise<number> => {
    const statuses = await Promise.all(Array.from({ length: times }, () => ask(asked)))
    expect(statuses.filter((status) => status !== 200 && status !== 429)).toEqual([])
    return statuses.filter((status) => status === 200).length
  }
  return { ask, allowed }
}

// Going through dead letters page by page, to those that were there at the beginning.
import type { DeadMessage, QueuePort } from '../../ports/queue.ts'

const page = 500

export async function* deadPages(
  port: QueuePort,
  queue: string,
  from?: string,
): AsyncGenerator<readonly DeadMessage[]> {
  let left = (await port.count(queue)).dead
  for (let after = from; left > 0; ) {
    const limit = Math.min(page, left)
    const found = await port.deadLetters(queue, { limit, ...(after === undefined ? {} : { after }) })
    if (found.length === 0) return
    after = found.at(-1)!.handle
    left -= found.length
    yield found
  }
}

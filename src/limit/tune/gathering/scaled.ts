// Requests whose costs are counted in parts of a unit, so that they are whole numbers.
import type { Requests } from './requests.ts'
import { atOnce } from './run-file.ts'

export function scaled(requests: Requests, parts: number): Requests {
  if (parts === 1) return requests
  const whole = new Float64Array(atOnce)
  return {
    keys: requests.keys,
    each(visitor) {
      requests.each({
        begin: (key, count) => visitor.begin(key, count),
        some(times, costs, from, to) {
          for (let start = from; start < to; start += atOnce) {
            const end = Math.min(to, start + atOnce)
            for (let index = start; index < end; index++)
              whole[index - start] = Math.round(costs[index]! * parts)
            visitor.some(times.subarray(start, end), whole, 0, end - start)
          }
        },
        end: () => visitor.end(),
      })
    },
    [Symbol.dispose]: () => requests[Symbol.dispose](),
  }
}

import { open } from 'spillway'
import { z } from 'zod'

const Price = z.object({ article: z.string(), cents: z.number().int().nullable() })

const spillway = await open('sqlite:./data')
const prices = await spillway.stream('prices', {
  data: Price,
  key: (price) => price.article,
  tombstone: (price) => price.cents === null,
  retain: { compact: true, tombstones: '7d' },
})
await prices.appendMany([
  { article: 'lamp', cents: 4_900 },
  { article: 'chair', cents: 12_000 },
  { article: 'lamp', cents: 3_900 },
  { article: 'chair', cents: null }, // No longer sold.
])

/** What each article costs now: right whether an older event of it is still there or not. */
const current = new Map<string, number>()
for await (const { message } of prices.read()) {
  const { article, cents } = message.data
  if (cents === null) current.delete(article)
  else current.set(article, cents)
}
console.log(current)

await spillway.close()

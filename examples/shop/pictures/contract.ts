// What the pictures context is to others: a queue of pictures to be drawn. It publishes nothing.
import { z } from 'zod'
import { context, queue } from '../spillway.ts'

const Thumbnail = z.object({ range: z.string() })

export const pictures = context('pictures', {
  queues: {
    thumbnail: queue({
      data: Thumbnail,
      dedup: ({ range }) => range, // one picture of a range, however many orders ask for it while it waits
      maxConcurrency: 2, // drawing is work for the processor: two at a time, by all processes together
      deadline: '20s', // a picture that takes longer never ends
      retry: { attempts: 3 },
    }),
  },
})

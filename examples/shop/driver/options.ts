// The command line of the shop.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

export const help = `The shop: real orders through queues, streams and eight bounded contexts.

  npm start                       run it, and stay up until Ctrl-C
  npm start -- --once             end when everything is handled
  npm start -- --once --json      print one JSON object; amounts are in pounds, cancellations taken off

  --data <folder>   keep the databases here, and go on from what they hold
                    (default: a temporary folder, removed at the end)
  --file <csv>      other orders than the sample in examples/shop/data
  --engine <url>    queues and streams elsewhere: sqlite:./folder, postgres://user@host/database
  --streams <url>   streams elsewhere: kafka://host:9092, nats://host:4222
  --rebuild         when everything is handled: delete the view of the revenue, replay the events
                    of the orders into a new one, and compare
  --help            show this
`

const sample = fileURLToPath(new URL('../data/online_retail_sample.csv', import.meta.url))

/** Throws a TypeError with a message for people at an option that does not exist. */
export function readOptions(args = process.argv.slice(2)) {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      rebuild: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      data: { type: 'string' },
      file: { type: 'string', default: sample },
      engine: { type: 'string' },
      streams: { type: 'string' },
    },
  })
  return values
}

export type Options = ReturnType<typeof readOptions>

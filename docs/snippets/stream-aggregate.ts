import { open } from 'spillway'
import { z } from 'zod'

const Entry = z.object({ account: z.string(), amount: z.number().int() })

const spillway = await open('sqlite:./data')
const entries = await spillway.stream('entries', {
  data: Entry,
  key: (entry) => entry.account,
  versions: true,
})

/** Reads what happened to one account, decides, and appends, unless somebody else was first: then it looks again. */
async function withdraw(account: string, amount: number): Promise<boolean> {
  for (;;) {
    let [balance, expectedVersion] = [0, 0]
    for await (const { message, version } of entries.readKey(account))
      [balance, expectedVersion] = [balance + message.data.amount, version!]
    if (balance < amount) return false
    const done = await entries.append({ account, amount: -amount }, { expectedVersion })
    if (done.status === 'appended') return true
  }
}

await entries.append({ account: 'ada', amount: 100 })
const tries = await Promise.all([60, 60, 30].map((amount) => withdraw('ada', amount)))
console.log(tries.filter((done) => done).length, 'of 3 withdrawals went through')

await spillway.close()

import { open } from 'spillway'
import { z } from 'zod'

const Reading = z.object({ sensor: z.string(), celsius: z.number() })
const lines = ['cellar 11.5', 'roof 30.25', 'cellar 12']

const spillway = await open('sqlite:./data')
const readings = await spillway.stream('readings', { data: Reading, key: (reading) => reading.sensor })

/** Imports a file. Whatever became of an earlier run, every line is stored once: its number is the sequence. */
async function importFile(): Promise<void> {
  for (const [index, line] of lines.entries()) {
    const [sensor, celsius] = line.split(' ') as [string, string]
    const data = { sensor, celsius: Number(celsius) }
    const { status } = await readings.append(data, { producer: 'file-7', sequence: index })
    console.log(line, status)
    if (index === 1 && status === 'appended') return // It died here.
  }
}
await importFile()
await importFile()

await spillway.close()

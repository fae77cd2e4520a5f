// The bar of long work, on standard error: a terminal sees it move, a log gets a line for every tenth.
import { styleText } from 'node:util'

const cells = 24
const redrawMs = 100
/** Less is over before somebody reads of it. */
const worthALine = 20

export class Bar {
  readonly #title: string
  readonly #total: number
  readonly #output: NodeJS.WriteStream
  #drawnAt = 0
  #tenths = 0

  constructor(title: string, total: number, output: NodeJS.WriteStream = process.stderr) {
    this.#title = title
    this.#total = Math.max(1, total)
    this.#output = output
  }

  at(done: number, note = ''): void {
    const share = Math.min(1, Math.max(0, done / this.#total))
    if (!this.#output.isTTY) {
      this.#log(share, done)
      return
    }
    const now = performance.now()
    if (now - this.#drawnAt < redrawMs && share < 1) return
    this.#drawnAt = now
    const full = Math.round(share * cells)
    const bar = styleText('green', '█'.repeat(full), { stream: this.#output }) + '░'.repeat(cells - full)
    const numbers = `${done.toLocaleString('en-US')}/${this.#total.toLocaleString('en-US')}`
    const room = (this.#output.columns || 80) - this.#title.length - cells - numbers.length - 5
    this.#output.write(`\r\u001b[K${this.#title} ${bar} ${numbers}  ${note.slice(0, Math.max(0, room))}`)
  }

  /** Takes the bar away. */
  end(): void {
    if (this.#output.isTTY && this.#drawnAt > 0) this.#output.write('\r\u001b[K')
  }

  #log(share: number, done: number): void {
    if (this.#total < worthALine) return
    const tenths = Math.floor(share * 10)
    if (tenths <= this.#tenths) return
    this.#tenths = tenths
    this.#output.write(
      `${this.#title} ${done.toLocaleString('en-US')}/${this.#total.toLocaleString('en-US')}\n`,
    )
  }
}

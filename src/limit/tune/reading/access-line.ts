// A line of an access log, common or combined: address ident user [time] "method path protocol" status bytes "referer" "agent".
import { type Line, largestCost } from './line.ts'
import { accessTime } from './time.ts'

const fields: readonly string[] = ['address', 'user', 'path', 'method', 'agent', 'status', 'bytes']

export class AccessLine implements Line {
  time = 0
  readonly fields: readonly string[] = fields
  #text = ''
  #address = 0
  #user = 0
  #date = 0
  #request = 0
  #requestEnd = 0
  #statusEnd = 0
  /** Most lines have the second of the line before. */
  #dateText = ''
  #dateTime = 0

  read(text: string): string | undefined {
    this.#text = text
    this.#address = text.indexOf(' ')
    this.#user = text.indexOf(' ', this.#address + 1) + 1
    this.#date = text.indexOf(' [', this.#user - 1)
    const dateEnd = text.indexOf(']', this.#date)
    if (this.#address < 1 || this.#user < 1 || this.#date < 0 || dateEnd < 0)
      return 'no address, user and time in square brackets'
    const time = this.#timeOf(text.slice(this.#date + 2, dateEnd))
    if (Number.isNaN(time)) return 'its time cannot be read'
    this.time = time
    this.#request = text.indexOf('"', dateEnd) + 1
    this.#requestEnd = this.#request < 1 ? -1 : endOfQuote(text, this.#request)
    if (this.#requestEnd < 0) return 'no request in quotes'
    this.#statusEnd = text.indexOf(' ', this.#requestEnd + 2)
    if (this.#statusEnd < 0) this.#statusEnd = text.length
    return /^\d{3}$/.test(this.#status) ? undefined : 'no status behind the request'
  }

  get refused(): boolean {
    return this.#status === '429'
  }

  get retryAfter(): undefined {
    return undefined
  }

  /** Everything but when, and what was answered. */
  get who(): string {
    const request = this.#text.slice(this.#request, this.#requestEnd)
    return `${this.#text.slice(0, this.#date)} ${request} ${this.#agent() ?? ''}`
  }

  field(name: string): string | undefined {
    switch (name) {
      case 'address':
        return this.#text.slice(0, this.#address)
      case 'user':
        return given(this.#text.slice(this.#user, this.#date))
      case 'method':
        return given(this.#word(0))
      case 'path':
        return given(this.#word(1)?.split('?', 1)[0])
      case 'status':
        return this.#status
      case 'bytes':
        return given(/^ (\d+|-)/.exec(this.#text.slice(this.#statusEnd))?.[1])
      case 'agent':
        return given(this.#agent())
      default:
        return undefined
    }
  }

  cost(field: string | undefined): number | string {
    if (field === undefined) return 1
    // An answer without a body has no bytes.
    if (field === 'bytes') {
      const bytes = Number(this.field('bytes') ?? 0)
      return bytes <= largestCost ? bytes : 'its bytes are more than 2^53'
    }
    return `an access log has no cost in a field ${field}, only bytes`
  }

  get #status(): string {
    return this.#text.slice(this.#requestEnd + 2, this.#statusEnd)
  }

  /** A request that is no HTTP has no words. */
  #word(index: number): string | undefined {
    return this.#text.slice(this.#request, this.#requestEnd).split(' ')[index]
  }

  #agent(): string | undefined {
    const text = this.#text
    const referer = text.indexOf('"', this.#statusEnd) + 1
    const refererEnd = referer < 1 ? -1 : endOfQuote(text, referer)
    const agent = refererEnd < 0 ? 0 : text.indexOf('"', refererEnd + 1) + 1
    const agentEnd = agent < 1 ? -1 : endOfQuote(text, agent)
    return agentEnd < 0 ? undefined : text.slice(agent, agentEnd)
  }

  #timeOf(date: string): number {
    if (date !== this.#dateText) {
      this.#dateTime = accessTime(date)
      this.#dateText = date
    }
    return this.#dateTime
  }
}

/** Quotes within are written \". */
function endOfQuote(text: string, from: number): number {
  for (let end = text.indexOf('"', from); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text[end - 1 - slashes] === '\\') slashes += 1
    if (slashes % 2 === 0) return end
  }
  return -1
}

function given(value: string | undefined): string | undefined {
  return value === '-' || value === '' ? undefined : value
}

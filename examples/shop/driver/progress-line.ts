// How far the shop is: one live line on a terminal, a line a second elsewhere.

export interface ProgressLine {
  show(text: string): void
  /** Clears the live line, so that what follows stands alone. */
  end(): void
}

const everyMs = 1_000

export function progressLine(out: NodeJS.WriteStream): ProgressLine {
  if (out.isTTY) {
    return {
      // A line that wraps could not be cleared.
      show: (text) => void out.write(`\r\x1b[2K${text.slice(0, (out.columns || 80) - 1)}`),
      end: () => void out.write('\r\x1b[2K'),
    }
  }
  let last = ''
  let at = Number.NEGATIVE_INFINITY
  return {
    show(text) {
      if (text === last || performance.now() - at < everyMs) return
      last = text
      at = performance.now()
      out.write(`${text}\n`)
    },
    end() {},
  }
}

export const silent: ProgressLine = { show() {}, end() {} }

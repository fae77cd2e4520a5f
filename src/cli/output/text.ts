// Text as a terminal shows it: how wide it is, cut to a width, and without anything that would steer the terminal.

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const wide =
  /^(?:\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}|[\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]|.\ufe0f)/u
/** Controls, and what turns the direction of writing: a key or a message may carry them, by mistake or on purpose. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const steering = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
const ascii = /^[\u0020-\u007e]*$/

/** What steers a terminal is written out: `\u001b`. */
export function visible(text: string): string {
  return text.replace(steering, (letter) => {
    if (letter === '\n') return '\\n'
    if (letter === '\t') return '\\t'
    return `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** How many columns the text takes. */
export function widthOf(text: string): number {
  if (ascii.test(text)) return text.length
  let width = 0
  for (const { segment } of segmenter.segment(text)) width += wide.test(segment) ? 2 : 1
  return width
}

/** At most so many columns; what is cut off is shown by `…`. */
export function cut(text: string, width: number): string {
  // A letter takes one column at least: no more of a long text has to be measured.
  const head = text.slice(0, 8 * width + 64)
  if (head === text && widthOf(text) <= width) return text
  let kept = ''
  let left = width - 1
  for (const { segment } of segmenter.segment(head)) {
    left -= wide.test(segment) ? 2 : 1
    if (left < 0) break
    kept += segment
  }
  return `${kept}…`
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)))
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - widthOf(text))) + text
}

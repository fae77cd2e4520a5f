// Text in HTML: what came from a log must not become markup.

const marks: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => marks[letter]!)
}

/** Cells are text; those of the columns from `right` on stand to the right. */
export function tableOf(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  right: number = 0,
): string {
  const side = (index: number) => (index >= right ? ' class="n"' : '')
  const cells = (tag: 'th scope="col"' | 'td', texts: readonly string[]) =>
    texts.map((text, index) => `<${tag}${side(index)}>${escaped(text)}</${tag.slice(0, 2)}>`).join('')
  return [
    '<div class="wide"><table>',
    `<thead><tr>${cells('th scope="col"', titles)}</tr></thead>`,
    `<tbody>${rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('\n')}</tbody>`,
    '</table></div>',
  ].join('\n')
}

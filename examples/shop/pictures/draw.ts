// Draws the thumbnail of a range of products: a vase, whose shape and colours follow from the range alone.
import { createHash } from 'node:crypto'

/** Undefined where sharp has no binary for the platform, or was not installed. */
const sharp = await import('sharp').then(
  (module) => module.default,
  () => undefined,
)

export const canDraw = sharp !== undefined

const size = 96

/** The same range gives the same picture, byte for byte. */
export async function draw(range: string): Promise<Buffer> {
  if (!sharp) throw new Error('sharp is not there')
  return sharp(Buffer.from(svgOf(range)))
    .resize(size, size)
    .png({ compressionLevel: 9 })
    .toBuffer()
}

export function svgOf(range: string): string {
  const dice = createHash('sha256').update(range).digest()
  const roll = (index: number, from: number, to: number) => from + ((dice[index] ?? 0) / 255) * (to - from)
  const hue = Math.round(roll(0, 0, 359))
  const [belly, neck, foot] = [roll(1, 18, 34), roll(2, 6, 16), roll(3, 8, 18)]
  const outline = `M${48 - neck} 18 C${48 - neck} 34 ${48 - belly} 38 ${48 - belly} 56 S${48 - foot} 78 ${48 - foot} 82
    H${48 + foot} C${48 + foot} 78 ${48 + belly} 74 ${48 + belly} 56 S${48 + neck} 34 ${48 + neck} 18 Z`
  const bands = Array.from({ length: 1 + ((dice[4] ?? 0) % 4) }, (_, band) => {
    const height = roll(8 + band, 2, 5)
    return `<rect x="0" y="${30 + band * 11}" width="96" height="${height}" fill="hsl(${hue + 40 * (band + 1)} 70% 85%)"/>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">
    <rect width="96" height="96" fill="hsl(${hue + 180} 35% 93%)"/>
    <ellipse cx="48" cy="83" rx="30" ry="4" fill="hsl(${hue + 180} 20% 80%)"/>
    <clipPath id="vase"><path d="${outline}"/></clipPath>
    <g clip-path="url(#vase)"><rect width="96" height="96" fill="hsl(${hue} 55% 50%)"/>${bands.join('')}</g>
  </svg>`
}

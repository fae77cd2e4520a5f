// In which of the 16,384 slots of a cluster a key is: CRC-16 (XMODEM) of it, or of its hash tag, as the specification of Redis Cluster says.

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let rest = byte << 8
  for (let bit = 0; bit < 8; bit++) rest = rest & 0x8000 ? (rest << 1) ^ 0x1021 : rest << 1
  return rest
})

export function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key
  let rest = 0
  for (const byte of Buffer.from(hashed)) rest = ((rest << 8) & 0xffff) ^ table[(rest >> 8) ^ byte]!
  return rest % 16_384
}

import { expect, test } from 'vitest'
import { now, payload, payloadBytes } from './payload.ts'

test('every payload is 200 bytes of JSON, and no two texts are the same', () => {
  const texts = new Set<string>()
  for (let n = 0; n < 1_000; n++) {
    for (const each of [payload(n), payload(n, now())])
      expect(Buffer.byteLength(JSON.stringify(each))).toBe(payloadBytes)
    texts.add(payload(n).text)
  }
  expect(texts.size).toBe(1_000)
})

// A list of parts that pieces of any size are appended to: the bytes stay as they came, and the list stays short.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { appendPart, type PartSlab } from './parts.ts'

function appended(pieces: Iterable<Buffer>): Buffer[] {
  const parts: Buffer[] = []
  let slab: PartSlab | null = null
  for (const piece of pieces) slab = appendPart(parts, piece, slab)
  return parts
}

test('200,000 pieces of one octet are a few parts', () => {
  const content = Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251))
  const parts = appended(content.keys().map(at => content.subarray(at, at + 1)))
  assert.ok(parts.length < 20, `${parts.length} parts`)
  assert.ok(Buffer.concat(parts).equals(content))
})

test('large pieces and the first few small ones are kept as they are', () => {
  const small = Array.from({ length: 8 }, (_, at) => Buffer.from(`piece ${at}`))
  const large = Buffer.alloc(2048, 'x')
  const parts = appended([...small, large, Buffer.from('y'), large])
  for (const [at, piece] of [...small, large].entries()) assert.equal(parts[at], piece)
  assert.equal(parts[10], large)
  assert.equal(parts.length, 11)
})

test('whatever the sizes, the bytes and their order stay, and parts are few', () => {
  const size = fc.oneof(fc.nat(3), fc.nat(3000), fc.constantFrom(0, 2047, 2048, 4096))
  fc.assert(
    fc.property(fc.array(size, { maxLength: 200 }), sizes => {
      const pieces = sizes.map((sizeBytes, at) => Buffer.alloc(sizeBytes, at + 1))
      const content = Buffer.concat(pieces)
      const parts = appended(pieces)
      assert.ok(Buffer.concat(parts).equals(content))
      assert.ok(
        parts.length <= content.length / 1024 + 20,
        `${parts.length} parts of ${content.length} bytes`,
      )
    }),
    { numRuns: 300 },
  )
})

test('a list that was emptied goes on in the same slab without touching what was taken', () => {
  const first: Buffer[] = []
  let slab: PartSlab | null = null
  for (let at = 0; at < 100; at++) slab = appendPart(first, Buffer.from('a'), slab)
  const second: Buffer[] = []
  for (let at = 0; at < 100; at++) slab = appendPart(second, Buffer.from('b'), slab)
  assert.equal(Buffer.concat(first).toString(), 'a'.repeat(100))
  assert.equal(Buffer.concat(second).toString(), 'b'.repeat(100))
})

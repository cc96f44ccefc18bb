import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { heapTakenBy } from '../../../test/support/heap.ts'
import { HeaderCollector } from './header-collector.ts'

/** Feeds the content in pieces cut at `cuts`; gives header and body, or undefined when it was too large. */
function collect(
  content: Buffer,
  cuts: readonly number[],
  sizeBytesMax?: number,
): [string, string] | undefined {
  const collector = new HeaderCollector(sizeBytesMax)
  const edges = [0, ...[...cuts].sort((a, b) => a - b), content.length]
  for (let i = 1; i < edges.length; i++) {
    const progress = collector.push(content.subarray(edges[i - 1], edges[i]))
    if (progress.kind === 'too-large') return undefined
    if (progress.kind === 'complete') {
      const body = Buffer.concat([progress.rest, content.subarray(edges[i])])
      return [progress.header.toString('latin1'), body.toString('latin1')]
    }
  }
  return [collector.end().toString('latin1'), '']
}

test('header and body are parted at the first blank line, wherever the chunks are cut', () => {
  const piece = fc.constantFrom('\r', '\n', '\r\n', '\r\n\r\n', 'A: b', 'x')
  const input = fc.tuple(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(120), { maxLength: 12 }))
  fc.assert(
    fc.property(input, ([pieces, cuts]) => {
      const text = pieces.join('')
      const inner = cuts.filter(cut => cut <= text.length)
      const blank = `\r\n${text}`.indexOf('\r\n\r\n')
      const expected = blank === -1 ? [text, ''] : [text.slice(0, blank + 2), text.slice(blank + 2)]
      assert.deepEqual(collect(Buffer.from(text), inner), expected)
    }),
    { numRuns: 500 },
  )
})

test('a content that begins with the blank line is all body', () => {
  assert.deepEqual(collect(Buffer.from('\r\nbody\r\n'), []), ['\r\n', 'body\r\n'])
  assert.deepEqual(collect(Buffer.from('\r\nbody\r\n'), [1]), ['\r\n', 'body\r\n'])
})

test('the limit counts the header only, and holds while the header is still incomplete', () => {
  const content = Buffer.from(`A: ${'b'.repeat(15)}\r\n\r\n${'x'.repeat(100)}`)
  assert.equal(collect(content, [], 22)?.[0].length, 22)
  assert.equal(collect(content, [], 21), undefined)
  assert.equal(collect(Buffer.alloc(100, 0x61), [10, 20, 30], 50), undefined)
})

test('a header inside one chunk is a view of that chunk, not a copy', () => {
  const chunk = Buffer.from('A: b\r\n\r\nbody')
  const progress = new HeaderCollector().push(chunk)
  assert.equal(progress.kind, 'complete')
  if (progress.kind === 'complete') assert.equal(progress.header.buffer, chunk.buffer)
})

test('a header that comes octet by octet takes little more memory than its bytes', () => {
  const header = Buffer.from(`A: ${'b'.repeat(120_000)}\r\n\r\n`)
  const collector = new HeaderCollector()
  const takenBytes = heapTakenBy(() => {
    for (let at = 0; at < 120_000; at++) collector.push(header.subarray(at, at + 1))
    return collector
  })
  assert.ok(takenBytes < 1_000_000, `${takenBytes} bytes of heap`)
  const progress = collector.push(header.subarray(120_000))
  assert.ok(progress.kind === 'complete')
  assert.ok(progress.header.equals(header))
})

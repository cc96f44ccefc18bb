// What may leave in DATA and BDAT: line ends, dots, and no byte path for smuggling.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ContentScanner } from './content.ts'
import { planContent } from './content-plan.ts'

const BLOCK = 262_144

/** Content of lines that end in CRLF, with many dots and short lines. */
const goodContent = fc
  .array(fc.string({ unit: fc.constantFrom('.', 'a', ' ', 'é', '-'), maxLength: 6 }), { maxLength: 20 })
  .map(lines => Buffer.from(lines.map(line => `${line}\r\n`).join('')))

/** Any cut of the content into parts. */
function cut(content: Buffer, places: readonly number[]): Buffer[] {
  const marks = [0, ...places.map(place => place % (content.length + 1)), content.length].sort(
    (a, b) => a - b,
  )
  return marks.slice(1).map((mark, index) => content.subarray(marks[index], mark))
}

/** What a strict receiver makes of DATA: dots unstuffed, end at CRLF . CRLF. */
function unstuffed(wire: Buffer): Buffer {
  const lines = `\r\n${wire.toString('latin1')}`.split('\r\n').slice(1)
  assert.equal(lines.at(-1), '', 'DATA ends in CRLF')
  assert.ok(!lines.includes('.'), 'no lone dot inside')
  return Buffer.from(lines.map(line => line.replace(/^\./, '')).join('\r\n'), 'latin1')
}

test('a receiver that unstuffs DATA has the same bytes, however the content was cut', () => {
  fc.assert(
    fc.property(goodContent, fc.array(fc.nat(), { maxLength: 8 }), (content, places) => {
      const plan = planContent({ parts: cut(content, places) }, true, BLOCK)
      assert.ok(plan.kind === 'whole')
      assert.equal(plan.sizeBytes, content.length)
      const wire = Buffer.concat(plan.buffers)
      assert.deepEqual(content.length === 0 ? wire : unstuffed(wire), content)
    }),
  )
})

test('BDAT carries the bytes as they are', () => {
  fc.assert(
    fc.property(goodContent, fc.array(fc.nat(), { maxLength: 8 }), (content, places) => {
      const plan = planContent({ parts: cut(content, places) }, false, BLOCK)
      assert.ok(plan.kind === 'whole')
      assert.deepEqual(Buffer.concat(plan.buffers), content)
    }),
  )
})

test('nothing is copied when no line begins with a dot', () => {
  const parts = [Buffer.from('a: b\r\n\r\n'), Buffer.from('x.y\r\n')]
  const plan = planContent({ parts }, true, BLOCK)
  assert.ok(plan.kind === 'whole')
  assert.equal(plan.buffers[0], parts[0])
  assert.equal(plan.buffers[1], parts[1])
})

test('every form of line end other than CRLF, and NUL, is refused by its name, wherever the parts are cut', () => {
  const cases: [string, string][] = [
    ['a\nb\r\n', 'bare LF'],
    ['\n', 'bare LF'],
    ['a\r\n\n.\r\n', 'bare LF'],
    ['a\rb\r\n', 'bare CR'],
    ['a\r\r\n.\r\r\n', 'bare CR'],
    ['a\r\n.\rb\r\n', 'bare CR'],
    ['a\r', 'bare CR'],
    ['a\r\n\0.\r\n', 'NUL'],
    ['a\r\n.\0\r\n', 'NUL'],
  ]
  for (const [text, word] of cases) {
    const content = Buffer.from(text)
    for (let at = 0; at <= content.length; at++) {
      for (const isStuffed of [true, false]) {
        const plan = planContent({ parts: [content.subarray(0, at), content.subarray(at)] }, isStuffed, BLOCK)
        assert.ok(plan.kind === 'refused', JSON.stringify(text))
        assert.match(plan.message, new RegExp(word), JSON.stringify([text, at]))
      }
    }
  }
})

test('the scanner finds a fault exactly when a plain definition finds one', () => {
  const bytes = fc.string({ unit: fc.constantFrom('\r', '\n', '\r\n', '.', 'a', '\0'), maxLength: 12 })
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(), { maxLength: 5 }), (text, places) => {
      const scanner = new ContentScanner()
      for (const part of cut(Buffer.from(text), places)) {
        scanner.scan(part)
        if (scanner.fault !== null) break
      }
      scanner.finish()
      assert.equal(scanner.fault !== null, /\r(?!\n)|(?<!\r)\n|\0/.test(text))
    }),
    { numRuns: 2_000 },
  )
})

test('content without a line end at its end gets one, empty content stays empty', () => {
  const plan = planContent({ parts: [Buffer.from('a'), Buffer.alloc(0)] }, true, BLOCK)
  assert.ok(plan.kind === 'whole')
  assert.equal(Buffer.concat(plan.buffers).toString(), 'a\r\n')
  assert.equal(plan.sizeBytes, 3)
  const empty = planContent({ parts: [] }, false, BLOCK)
  assert.ok(empty.kind === 'whole')
  assert.equal(empty.sizeBytes, 0)
})

test('content above the block size is sent in blocks', () => {
  assert.equal(planContent({ parts: [Buffer.alloc(BLOCK, 'a')] }, true, BLOCK).kind, 'blocks')
})

// The content scanner against a plain model of the rule, for any bytes and any split.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ContentScanner } from './content-scanner.ts'

interface Outcome {
  readonly output: string
  readonly fault: string | null
  readonly end: number
  readonly longest: number
}

/** The rule as one could state it: cut at CRLF, the first line that is a dot ends, other leading dots go. */
function model(text: string): Outcome {
  let output = ''
  let rest = text
  let end = -1
  let longest = 0
  while (rest !== '') {
    const at = rest.indexOf('\r\n')
    const line = at < 0 ? rest : rest.slice(0, at)
    if (at === 1 && line === '.') {
      end = text.length - rest.length + 3
      break
    }
    const unstuffed = line.startsWith('.') ? line.slice(1) : line
    output += at < 0 ? unstuffed : `${unstuffed}\r\n`
    if (at >= 0) longest = Math.max(longest, unstuffed.length)
    rest = at < 0 ? '' : rest.slice(at + 2)
  }
  const body = end < 0 ? text : text.slice(0, end)
  // A CR at the very end may still become a CRLF.
  const fault = /\r(?!\n|$)|(?<!\r)\n|\0/.exec(body)
  return { output, fault: fault === null ? null : fault[0], end, longest }
}

function scan(text: string, cuts: readonly number[]): Outcome {
  const bytes = Buffer.from(text, 'latin1')
  const scanner = new ContentScanner({ kind: 'data', mendsBareLf: false })
  const edges = [...cuts.filter(cut => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
  let output = ''
  let from = 0
  let end = -1
  for (const to of edges) {
    end = scanner.scan(bytes, from, to)
    output += scanner.take()?.toString('latin1') ?? ''
    if (end >= 0) break
    from = to
  }
  const kinds = { 'bare-cr': '\r', 'bare-lf': '\n', nul: '\0' }
  const fault = scanner.fault === null ? null : kinds[scanner.fault.kind]
  return { output, fault, end, longest: scanner.longestLineBytes }
}

const content = fc
  .array(fc.constantFrom('\r\n', '\r\n', '.', '.', '\r', '\n', '\0', 'a', 'bc', '\xff', '\r\n.\r\n'), {
    maxLength: 20,
  })
  .map(parts => parts.join(''))

test('the scanner finds the same end, fault and output as the rule, however the bytes are split', () => {
  fc.assert(
    fc.property(content, fc.array(fc.nat(30), { maxLength: 6 }), (text, cuts) => {
      const expected = model(text)
      const got = scan(text, cuts)
      assert.equal(got.end, expected.end)
      assert.equal(got.fault, expected.fault)
      if (expected.fault === null) {
        // A dot or CR at the very end of unfinished input is still undecided.
        const isOpen = expected.end < 0
        if (isOpen) assert.ok(expected.output.startsWith(got.output))
        else assert.deepEqual([got.output, got.longest], [expected.output, expected.longest])
      }
    }),
    { numRuns: 3000 },
  )
})

test('mended output has CRLF only and does not depend on the split', () => {
  fc.assert(
    fc.property(content, fc.array(fc.nat(30), { maxLength: 6 }), (text, cuts) => {
      const bytes = Buffer.from(text, 'latin1')
      const outputs = [[], cuts].map(edges => {
        const scanner = new ContentScanner({ kind: 'data', mendsBareLf: true })
        let output = ''
        let from = 0
        for (const to of [
          ...edges.filter(cut => cut < bytes.length).toSorted((a, b) => a - b),
          bytes.length,
        ]) {
          const end = scanner.scan(bytes, from, to)
          output += scanner.take()?.toString('latin1') ?? ''
          if (end >= 0) break
          from = to
        }
        return scanner.fault === null ? output : null
      })
      assert.equal(outputs[0], outputs[1])
      if (outputs[0] !== null && outputs[0] !== undefined)
        assert.doesNotMatch(outputs[0], /(?<!\r)\n|\r(?!\n|$)/)
    }),
    { numRuns: 2000 },
  )
})

test('content that needs no change is put out as slices of the input', () => {
  const scanner = new ContentScanner({ kind: 'data', mendsBareLf: false })
  const chunk = Buffer.from('line one\r\nline two\r\n.\r\nNOOP\r\n')
  assert.equal(scanner.scan(chunk, 0, chunk.length), 23)
  const output = scanner.take()
  assert.equal(output?.buffer, chunk.buffer)
  assert.equal(output?.toString(), 'line one\r\nline two\r\n')
})

test('a mended LF at the end of a BDAT content is its line end, and gets no second one', () => {
  for (const [text, expected] of [
    ['a\n', 'a\r\n'],
    ['\n', '\r\n'],
    ['a\nb', 'a\r\nb\r\n'],
    ['', ''],
  ] as const) {
    const scanner = new ContentScanner({ kind: 'bdat', mendsBareLf: true })
    scanner.scan(Buffer.from(text), 0, text.length)
    scanner.finishChunks()
    assert.equal(scanner.take()?.toString() ?? '', expected)
  }
})

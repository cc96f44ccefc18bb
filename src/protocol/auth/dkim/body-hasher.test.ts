import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { BodyHasher } from './body-hasher.ts'
import { plainRelaxedBody } from './testing/plain-canon.ts'

function hashOf(body: Buffer, cuts: readonly number[] = []): string {
  const hasher = new BodyHasher()
  const edges = [0, ...cuts.filter(cut => cut <= body.length).sort((a, b) => a - b), body.length]
  for (let i = 1; i < edges.length; i++) {
    const chunk = Buffer.from(body.subarray(edges[i - 1], edges[i]))
    hasher.push(chunk)
    chunk.fill(0x21) // whoever hands in a chunk may reuse it
  }
  return hasher.digest().toString('base64')
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('base64')
}

test('the example of RFC 6376 §3.4.5', () => {
  assert.equal(hashOf(Buffer.from(' C \r\nD \t E\r\n\r\n\r\n')), sha256(' C\r\nD E\r\n'))
})

test('the body of RFC 8463 appendix A has the published hash', () => {
  const body = 'Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n'
  assert.equal(hashOf(Buffer.from(body)), '2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=')
})

for (const body of ['', '\r\n', '\r\n\r\n\r\n', ' \t\r\n', '  ', '\r\n \r\n\t']) {
  test(`a body without content, ${JSON.stringify(body)}, hashes as nothing at all`, () => {
    assert.equal(hashOf(Buffer.from(body)), '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')
  })
}

test('a missing last CRLF is added', () => {
  assert.equal(hashOf(Buffer.from('a\r\nb')), sha256('a\r\nb\r\n'))
  assert.equal(hashOf(Buffer.from('a\r\nb \t')), sha256('a\r\nb\r\n'))
})

test('CR and LF that are no line end count as they are', () => {
  assert.equal(hashOf(Buffer.from('a \rb\n c\r')), sha256('a \rb\n c\r\r\n'))
})

test('a long run of blank lines in the middle counts in full', () => {
  const body = `a${'\r\n'.repeat(1000)}b\r\n`
  assert.equal(hashOf(Buffer.from(body)), sha256(body))
})

for (const count of [255, 256, 32_767, 32_768, 32_769, 65_536, 100_001]) {
  test(`${count} blank lines count in the middle, and neither at the end nor alone`, () => {
    const blank = '\r\n'.repeat(count)
    const cuts = [1, 70_000, 70_001, 70_002]
    for (const body of [`a${blank}b${blank}  c\r\n`, `${blank} d${blank}`, `a\r${blank}\r`])
      assert.equal(hashOf(Buffer.from(body), cuts), sha256(plainRelaxedBody(body)))
    assert.equal(hashOf(Buffer.from(`a${blank} \t${blank}`), cuts), sha256('a\r\n'))
    assert.equal(hashOf(Buffer.from(`${blank} ${blank}`), cuts), sha256(''))
  })
}

test('blank lines of 25 MB hold the event loop in no single step', () => {
  const blank = Buffer.from('\r\n'.repeat(32_768))
  const blocks = 381
  let fastestMs = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const hasher = new BodyHasher()
    const plain = createHash('sha256')
    let slowestMs = 0
    for (const chunk of [
      Buffer.from('a'),
      ...Array.from({ length: blocks }, () => blank),
      Buffer.from('b\r\n'),
    ]) {
      const started = process.cpuUsage()
      hasher.push(chunk)
      const { user, system } = process.cpuUsage(started)
      slowestMs = Math.max(slowestMs, (user + system) / 1000)
      plain.update(chunk)
    }
    assert.equal(hasher.digest().toString('hex'), plain.digest('hex'))
    fastestMs = Math.min(fastestMs, slowestMs)
  }
  assert.ok(fastestMs < 20, `one step took ${fastestMs} ms of processor time`)
})

test('the hash is that of the plain rule, wherever the chunks are cut', () => {
  const piece = fc.constantFrom(
    ' ',
    '\t',
    '\r\n',
    '\r\n',
    '\r',
    '\n',
    'a',
    'word',
    '\xe9',
    'x'.repeat(600),
    'y '.repeat(150),
    'z\r\n'.repeat(100),
  )
  const input = fc.tuple(fc.array(piece, { maxLength: 60 }), fc.array(fc.nat(3000), { maxLength: 20 }))
  fc.assert(
    fc.property(input, ([pieces, cuts]) => {
      const body = pieces.join('')
      // A lone LF behind a cut or piece may join a CR before it: both sides see the same joined text.
      assert.equal(hashOf(Buffer.from(body, 'latin1'), cuts), sha256(plainRelaxedBody(body)))
    }),
    { numRuns: 1500 },
  )
})

test('a tab behind a walked stretch is seen, whatever the length of the stretch', () => {
  for (let length = 200; length < 1100; length++) {
    const body = `${'x'.repeat(length)}\ty \t z\r\n`
    assert.equal(hashOf(Buffer.from(body)), sha256(plainRelaxedBody(body)), `${length} bytes`)
  }
})

test('text far longer than the gathering buffer is hashed in full', () => {
  const body = 'two  spaces and a \t tab \r\n'.repeat(5000)
  assert.equal(hashOf(Buffer.from(body), [3, 70_000, 70_001]), sha256(plainRelaxedBody(body)))
})

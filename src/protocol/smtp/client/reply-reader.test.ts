// The reply reader: what is a reply, what is not, and that no peer can make it keep much.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type SmtpReply, smtpReply } from '../reply.ts'
import { defaultReplyLimits, ReplyReader } from './reply-reader.ts'

function read(bytes: string | Buffer, chunkBytes: number = Number.MAX_SAFE_INTEGER) {
  const reader = new ReplyReader()
  const replies: SmtpReply[] = []
  const all = Buffer.from(bytes)
  for (let at = 0; at < all.length; at += chunkBytes) {
    // A copy that is wiped afterwards shows that the reader keeps no reference to it.
    const chunk = Buffer.from(all.subarray(at, at + chunkBytes))
    reader.feed(chunk)
    for (let reply = reader.next(); reply !== null; reply = reader.next()) replies.push(reply)
    chunk.fill(0x58)
  }
  return { replies, fault: reader.fault, reader }
}

test('a single line gives code, enhanced code and text apart', () => {
  assert.deepEqual(read('250 2.1.5 Recipient ok\r\n').replies, [smtpReply(250, '2.1.5', 'Recipient ok')])
})

test('a reply of many lines keeps each text and strips the enhanced code of each', () => {
  assert.deepEqual(read('550-5.7.1 Blocked\r\n550-5.7.1 because\r\n550 5.7.1 of reasons\r\n').replies, [
    smtpReply(550, '5.7.1', 'Blocked\nbecause\nof reasons'),
  ])
})

test('missing text, a bare LF and CR CR LF are taken as the net sends them', () => {
  assert.deepEqual(read('250\r\n250 \n250-a\n250 b\r\r\n').replies, [
    smtpReply(250, '', ''),
    smtpReply(250, '', ''),
    smtpReply(250, '', 'a\nb'),
  ])
})

test('when the lines disagree, the code of the last line counts and a foreign enhanced code does not', () => {
  assert.deepEqual(read('250-2.0.0 fine\r\n550 no\r\n').replies, [smtpReply(550, '', 'fine\nno')])
})

test('an enhanced code of another class than the code is text', () => {
  assert.deepEqual(read('250 5.0.0 odd\r\n').replies, [smtpReply(250, '', '5.0.0 odd')])
  assert.deepEqual(read('550 5.7.1234 x\r\n').replies, [smtpReply(550, '', '5.7.1234 x')])
  assert.deepEqual(read('550 5.7.1\r\n').replies, [smtpReply(550, '5.7.1', '')])
})

test('what ends a line for readers of Unicode is shown as \\xNN, and its neighbours are kept', () => {
  const bytes = Buffer.from('550 a\u2028b\u2029c\u2027d\u2030e\u0085f\u00a0g\r\n')
  assert.deepEqual(read(bytes).replies[0]?.lines, [
    'a\\xE2\\x80\\xA8b\\xE2\\x80\\xA9c\u2027d\u2030e\\xC2\\x85f\u00a0g',
  ])
})

test('UTF-8 text is kept; invalid bytes and control characters are shown as \\xNN', () => {
  const bytes = Buffer.concat([
    Buffer.from('550 5.1.1 ж '),
    Buffer.from([0xff, 0xc3, 0x28, 0x1b, 0x00, 0xc2, 0x9b]),
    Buffer.from('\t😀\r\n'),
  ])
  assert.deepEqual(read(bytes).replies[0]?.lines, ['ж \\xFF\\xC3(\\x1B\\x00\\xC2\\x9B\t😀'])
})

test('of a long line 2 KiB of text are kept, cut between characters', () => {
  const { replies, fault } = read(`250 ${'é'.repeat(3_000)}\r\n250 a${'é'.repeat(3_000)}\r\n`)
  assert.equal(fault, null)
  assert.equal(replies[0]?.lines[0], 'é'.repeat(1_024))
  assert.equal(replies[1]?.lines[0], `a${'é'.repeat(1_023)}`)
})

test('a hundred lines are a reply, one more is a fault', () => {
  const lines = (count: number) => `${'250-x\r\n'.repeat(count - 1)}250 x\r\n`
  assert.equal(read(lines(100)).replies[0]?.lines.length, 100)
  assert.equal(read(lines(101)).fault, 'too-many-lines')
})

test('more than 64 KiB without an end is a fault, whether or not a line ends', () => {
  assert.equal(read(Buffer.alloc(70_000, 0x32)).fault, 'too-long')
  assert.equal(read(`250-${'x'.repeat(1_996)}\r\n`.repeat(40)).fault, 'too-long')
  assert.equal(read(Buffer.alloc(70_000, 0x32), 1).fault, 'too-long')
})

test('what is not a reply is a fault, and nothing comes after it', () => {
  for (const bytes of [
    '\r\n',
    '25\r\n',
    'HTTP/1.1 400 Bad\r\n',
    '25x ok\r\n',
    '199 ok\r\n',
    '600 ok\r\n',
    '250*ok\r\n',
  ]) {
    const { replies, fault } = read(`${bytes}250 ok\r\n`)
    assert.deepEqual([replies, fault], [[], 'bad-line'], bytes)
  }
})

test('bytes behind a reply are counted while it is handled', () => {
  const reader = new ReplyReader()
  reader.feed(Buffer.from('220 go\r\n250 fake\r\n25'))
  assert.equal(reader.next()?.code, 220)
  assert.equal(reader.bytesAhead, 12)
  assert.equal(reader.next()?.code, 250)
  assert.equal(reader.bytesAhead, 2)
  assert.equal(reader.next(), null)
  assert.equal(reader.isInsideReply, true)
})

test('how the bytes are cut into reads makes no difference', () => {
  const line = fc.tuple(
    fc.constantFrom('250', '354', '421', '550', '2', 'abc'),
    fc.constantFrom(' ', '-', '', '\t', '*'),
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.constantFrom('2.1.0 ok', '5.1.1', 'x'.repeat(2_100)),
    ),
    fc.constantFrom('\r\n', '\n'),
  )
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.integer({ min: 1, max: 40 }), (lines, chunkBytes) => {
      const bytes = Buffer.from(lines.map(parts => parts.join('')).join(''))
      const whole = read(bytes)
      const cut = read(bytes, chunkBytes)
      assert.deepEqual(cut.replies, whole.replies)
      assert.equal(cut.fault, whole.fault)
    }),
  )
})

test('no bytes make the reader throw, and every reply keeps the bounds', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), noise => {
      for (const reply of read(Buffer.concat([Buffer.from('250 '), noise, Buffer.from('\r\n')])).replies) {
        assert.ok(reply.code >= 200 && reply.code <= 599)
        assert.ok(reply.lines.length >= 1 && reply.lines.length <= defaultReplyLimits.linesMax)
        for (const text of reply.lines) assert.doesNotMatch(text, /[\x00-\x08\x0a-\x1f\x7f]/)
      }
    }),
  )
})

test('the bytes of a reply are counted the same however they arrive', () => {
  const limits = { linesMax: 10, bytesMax: 20, lineTextBytesMax: 100 }
  for (const [line, fault] of [
    [`250 ${'a'.repeat(15)}\n`, null],
    [`250 ${'a'.repeat(16)}\n`, 'too-long'],
  ] as const)
    for (let cut = 1; cut < line.length; cut++) {
      const reader = new ReplyReader(limits)
      for (const part of [line.slice(0, cut), line.slice(cut)]) {
        reader.feed(Buffer.from(part))
        reader.next()
      }
      assert.equal(reader.fault, fault, `cut at ${cut}`)
    }
})

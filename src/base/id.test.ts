import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatId, formatMessageId, IdGenerator, parseId, parseRecipientId } from './id.ts'

test('ids of one generator are strictly increasing even when the clock stands still', () => {
  const ids = new IdGenerator(() => 1_700_000_000_000, randomBytes)
  let last = ids.next()
  for (let i = 0; i < 10_000; i++) {
    const next = ids.next()
    assert.ok(Buffer.compare(next, last) > 0)
    last = next
  }
})

test('an id survives the way to text and back, and is 26 characters after its prefix', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), bytes => {
      const text = formatMessageId(bytes)
      assert.match(text, /^msg_[a-z2-7]{26}$/)
      assert.deepEqual(parseId('msg', text), Buffer.from(bytes))
    }),
  )
})

test('text order is byte order', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      (a, b) => {
        const rank = (text: string) => [...text].map(c => (c < 'a' ? c.charCodeAt(0) + 100 : c.charCodeAt(0)))
        const left = Buffer.from(rank(formatId('evt', a)))
        const right = Buffer.from(rank(formatId('evt', b)))
        assert.equal(
          Math.sign(Buffer.compare(left, right)),
          Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))),
        )
      },
    ),
  )
})

test('a recipient number is digits as they are shown, and one that a recipient can have', () => {
  const message = `msg_${'a'.repeat(26)}`
  for (const number of [0, 9, 10, 65_535])
    assert.deepEqual(parseRecipientId(`${message}.${number}`), { message: Buffer.alloc(16), number })
  for (const tail of [
    '',
    '.',
    '. 1',
    '.1 ',
    '.1\n',
    '.+1',
    '.-0',
    '.1.0',
    '.1e1',
    '.0x1',
    '.01',
    '.00',
    '.１',
    '.65536',
  ])
    assert.equal(parseRecipientId(message + tail), null, JSON.stringify(tail))
})

test('what is not an id is null, never a throw', () => {
  for (const text of [
    '',
    'msg_',
    'msg_a',
    `msg_${'a'.repeat(25)}b`,
    `acc_${'a'.repeat(26)}`,
    `msg_${'A'.repeat(26)}`,
    'msg_é',
  ])
    assert.equal(parseId('msg', text), null)
  assert.equal(parseRecipientId('msg_.1'), null)
  assert.equal(parseRecipientId(`msg_${'a'.repeat(26)}.x`), null)
  assert.equal(parseRecipientId(`msg_${'a'.repeat(26)}.7`)?.number, 7)
})

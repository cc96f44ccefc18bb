// Addresses: the corpus of shapes that parsers disagree about, and the normal form of domains.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fastestCpuMs, growthOver4 } from '../../../test/support/cpu-time.ts'
import { addressKey, formatAddress, normalizeDomain, parseAddress } from './address.ts'
import { accepted, label63, refused } from './testing/address-corpus.ts'

for (const [given, normal] of accepted) {
  test(`${given} is an address`, () => {
    const parsed = parseAddress(given)
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.why)
    assert.equal(formatAddress(parsed.value), normal)
  })
}

for (const given of refused) {
  test(`${JSON.stringify(given).slice(0, 60)} is no address`, () => {
    const parsed = parseAddress(given)
    assert.ok(!parsed.ok)
    assert.ok(parsed.why.length > 10)
  })
}

test('an address of 254 octets is accepted and one of 255 is not', () => {
  const domain = `${label63}.${label63}.${label63}.${'y'.repeat(49)}.test`
  assert.equal(domain.length, 246)
  assert.ok(parseAddress(`aaaaaaa@${domain}`).ok)
  assert.ok(!parseAddress(`aaaaaaaa@${domain}`).ok)
})

test('a domain of 255 octets is normal and one of 256 is not', () => {
  const domain = `${label63}.${label63}.${label63}.${'y'.repeat(63)}`
  assert.ok(normalizeDomain(domain).ok)
  assert.ok(!normalizeDomain(`${domain}y`).ok)
})

test('only addresses with characters outside ASCII are marked so', () => {
  for (const [given, isUtf8] of [
    ['a@d.test', false],
    ['a@xn--bcher-kva.test', false],
    ['a@bücher.test', true],
    ['ü@d.test', true],
  ] as const) {
    const parsed = parseAddress(given)
    assert.equal(parsed.ok && parsed.value.isUtf8, isUtf8)
  }
})

test('normalising a normal domain changes nothing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), text => {
      const once = normalizeDomain(text)
      if (!once.ok) return
      assert.match(once.value, /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/)
      assert.deepEqual(normalizeDomain(once.value), once)
    }),
    { numRuns: 3000 },
  )
})

test('whatever is accepted survives printing and parsing, and has no control characters', () => {
  const part = fc.constantFrom(
    'a',
    '.',
    '"',
    '\\',
    '@',
    ' ',
    '\r',
    '\n',
    'ü',
    '[',
    ']',
    '-',
    'xn--',
    'test',
    '1',
    '<',
    '>',
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), parts => {
      const parsed = parseAddress(parts.join(''))
      if (!parsed.ok) return
      const text = formatAddress(parsed.value)
      assert.doesNotMatch(text, /[\u0000-\u001f\u007f]/)
      const again = parseAddress(text)
      assert.ok(again.ok)
      assert.equal(again.value.localPart, parsed.value.localPart)
      assert.equal(again.value.domain, parsed.value.domain)
    }),
    { numRuns: 5000 },
  )
})

const megabyte = 1_000_000
const pieces: readonly (readonly [before: string, piece: string, after: string])[] = [
  ['', 'a:', ''],
  ['', '(', ''],
  ['', '"', ''],
  ['"', '\\"', ''],
  ['"', '\\"', '"@d.test'],
  ['', '.', ''],
  ['', 'a.', 'a@d.test'],
  ['', '@', ''],
  ['a@', 'a.', 'test'],
  ['a@', '-', ''],
  ['a@', 'ü', '.test'],
  ['a@', 'xn--', ''],
  ['a@[', ':', ']'],
  ['a@[IPv6:', '1:', ']'],
  ['', 'ü', '@d.test'],
  ['', 'u\u0308', '@d.test'],
]
for (const [before, piece, after] of pieces)
  test(`a megabyte of ${JSON.stringify(`${before}${piece}…${after}`)} is judged in linear time`, t => {
    const judge = (length: number): (() => void) => {
      const text = `${before}${piece.repeat(length / piece.length)}${after}`
      return () => assert.ok(!parseAddress(text).ok)
    }
    const [growth, costMs] = [growthOver4(megabyte, judge), fastestCpuMs(judge(megabyte))]
    t.diagnostic(`${costMs} ms, ${growth.toFixed(1)} times a quarter of it`)
    assert.ok(growth < 8, `four times the length costs ${growth} times as much`)
    assert.ok(costMs < 50, `${costMs} ms`)
  })

test('the suppression key ignores case and needless quotes, and nothing else', () => {
  const key = (text: string): string => {
    const parsed = parseAddress(text)
    assert.ok(parsed.ok)
    return addressKey(parsed.value)
  }
  assert.equal(key('Bob.Smith@Example.TEST'), 'bob.smith@example.test')
  assert.equal(key('"Bob.Smith"@example.test'), 'bob.smith@example.test')
  assert.equal(key('"bob\\.smith"@example.test'), 'bob.smith@example.test')
  assert.equal(key('"bob smith"@example.test'), '"bob smith"@example.test')
  assert.equal(key('a@BÜCHER.test'), key('a@xn--bcher-kva.test'))
  assert.notEqual(key('bob+tag@example.test'), key('bob@example.test'))
  // Two ways to write one character are one address, in both parts.
  assert.equal(key('a@b\u00fccher.test'), key('a@bu\u0308cher.test'))
  assert.equal(key('\u00e9@example.test'), key('e\u0301@example.test'))
})

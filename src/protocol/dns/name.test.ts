import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mixCase, normaliseName, parseIpv4, parseIpv6, reverseName } from './name.ts'

test('names are lower case without the last dot; the root is the empty string', () => {
  assert.equal(normaliseName('MX.Example.Test.'), 'mx.example.test')
  assert.equal(normaliseName('_25._tcp.mx.test'), '_25._tcp.mx.test')
  assert.equal(normaliseName('.'), '')
})

test('names over the limits of RFC 1035 are refused', () => {
  assert.equal(normaliseName(`${'a'.repeat(63)}.test`), `${'a'.repeat(63)}.test`)
  for (const name of [
    '',
    '..',
    'a..b',
    '.a',
    `${'a'.repeat(64)}.test`,
    'a.'.repeat(127),
    'a\\.b',
    'ä.test',
  ]) {
    assert.equal(normaliseName(name), name === 'a.'.repeat(127) ? 'a.'.repeat(127).slice(0, -1) : null, name)
  }
  assert.equal(normaliseName('a.'.repeat(128)), null)
})

test('mixed case changes letters only, and spells the same name', () => {
  fc.assert(
    fc.property(fc.domain(), fc.infiniteStream(fc.nat(1)), (name, bits) => {
      const next = bits[Symbol.iterator]()
      const mixed = mixCase(name.toLowerCase(), () => next.next().value ?? 0)
      assert.equal(mixed.toLowerCase(), name.toLowerCase())
    }),
  )
  assert.equal(
    mixCase('a1.b', () => 1),
    'A1.B',
  )
})

test('IPv4 is four decimal bytes and nothing else', () => {
  assert.deepEqual(parseIpv4('192.0.2.1'), [192, 0, 2, 1])
  for (const text of [
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '1.2.3.256',
    '1.2.3.4.',
    '1.2.3.-4',
    '',
  ]) {
    assert.equal(parseIpv4(text), null, text)
  }
})

test('IPv6 is eight groups, shortened once at most, without zone', () => {
  assert.deepEqual(parseIpv6('2001:db8::1'), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])
  assert.deepEqual(parseIpv6('::'), [0, 0, 0, 0, 0, 0, 0, 0])
  assert.deepEqual(parseIpv6('::ffff:10.0.0.1'), [0, 0, 0, 0, 0, 0xffff, 0x0a00, 1])
  for (const text of [
    '1::2::3',
    ':',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    'fe80::1%eth0',
    '::1.2.3',
    '1.2.3.4::',
  ]) {
    assert.equal(parseIpv6(text), null, text)
  }
})

test('the PTR name of an address turns it round', () => {
  assert.equal(reverseName('192.0.2.1'), '1.2.0.192.in-addr.arpa')
  assert.equal(
    reverseName('2001:db8::1'),
    '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa',
  )
  assert.equal(reverseName('example.test'), null)
})

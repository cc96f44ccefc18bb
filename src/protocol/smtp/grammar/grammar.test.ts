// Paths, parameters and xtext: envelope injection (one path, one meaning) and round trips.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatAddress } from '../../mail/index.ts'
import { accepted, refused } from '../../mail/testing/address-corpus.ts'
import { decodeUtf8AddressXtext, decodeXtext, encodeXtext, parseParameters, parsePath } from './index.ts'

const paths: readonly [text: string, local: string, domain: string, rest: string][] = [
  ['<a@b.test>', 'a', 'b.test', ''],
  ['  <a@b.test>', 'a', 'b.test', ''],
  ['<a@B.test> SIZE=1', 'a', 'b.test', ' SIZE=1'],
  ['<"a>b"@b.test> X', '"a>b"', 'b.test', ' X'],
  ['<"x@evil.test y"@ok.test>', '"x@evil.test y"', 'ok.test', ''],
  ['<"<c@d.test>"@b.test>', '"<c@d.test>"', 'b.test', ''],
  ['<@r.test:a@b.test>', 'a', 'b.test', ''],
  ['<@r.test,@[127.0.0.1]:a@b.test>', 'a', 'b.test', ''],
  ['<postmaster>', 'postmaster', '', ''],
  ['<PostMaster> NOTIFY=NEVER', 'PostMaster', '', ' NOTIFY=NEVER'],
  ['<a@[IPv6:::1]>', 'a', '[IPv6:::1]', ''],
]
for (const [text, localPart, domain, rest] of paths) {
  test(`${text} is a path to ${localPart}@${domain}`, () => {
    assert.deepEqual(parsePath(text, 'forward'), {
      ok: true,
      value: { path: { localPart, domain, isUtf8: false }, rest },
    })
  })
}

for (const text of [
  '',
  '<',
  '>',
  'a@b.test',
  '<a@b.test',
  'a@b.test>',
  '<a@b.test>>',
  '<<a@b.test>>',
  '<a@b.test>,<c@d.test>',
  '<a@b.test>SIZE=1',
  '<a@b.test> <',
  '<a>',
  '<a@>',
  '<@b.test>',
  '<@:a@b.test>',
  '<@r.test a@b.test>',
  '<a@b@c.test>',
  '<a@b.test\r\n>',
  '<a\0@b.test>',
  '<a b@c.test>',
  '<a@b test>',
  '<"a@b.test>',
  '<postmaster@>',
  '< a@b.test>',
  '<a@b.test >',
  '<abuse>',
  '<u%t.test>',
  '<@r.test,x:a@b.test>',
  `<${'a'.repeat(249)}@b.test>`,
  `<a@${`${'x'.repeat(62)}.`.repeat(4)}test>`,
]) {
  const isParameterFault = text === '<a@b.test> <'
  test(`${JSON.stringify(text).slice(0, 50)} is refused as RCPT argument`, () => {
    const parsed = parsePath(text, 'forward')
    if (isParameterFault) assert.ok(parsed.ok && !parseParameters(parsed.value.rest).ok)
    else assert.ok(!parsed.ok)
  })
}

test('what is an address is a path in brackets, for senders and recipients, with the same normal form', () => {
  for (const [given, normal] of accepted)
    for (const kind of ['reverse', 'forward'] as const) {
      const parsed = parsePath(`<${given}>`, kind)
      assert.ok(parsed.ok, given)
      assert.deepEqual([formatAddress(parsed.value.path), parsed.value.rest], [normal, ''])
    }
})

test('what is no address is no path either, but for the null path and a path with parameters behind it', () => {
  const paths: string[] = []
  for (const given of refused)
    for (const kind of ['reverse', 'forward'] as const) {
      const parsed = parsePath(`<${given}>`, kind)
      if (parsed.ok) paths.push(`${kind} <${given}>`)
      if (parsed.ok && given !== '') assert.ok(!parseParameters(parsed.value.rest).ok, given)
    }
  const withParameters = '<a@b.test> SIZE=1 <c@d.test>'
  assert.deepEqual(paths.sort(), [`forward ${withParameters}`, 'reverse <>', `reverse ${withParameters}`])
})

test('a source route has ten hosts at most, and is within the bound of a path', () => {
  const routed = (hop: string, count: number): string =>
    `<${Array.from({ length: count }, () => hop).join(',')}:a@b.test>`
  assert.ok(parsePath(routed('@r.test', 10), 'forward').ok)
  for (const count of [11, 500]) {
    const many = parsePath(routed('@r.test', count), 'reverse')
    assert.deepEqual(many, { ok: false, why: 'the source route has more than 10 hosts' })
  }
  const long = parsePath(routed(`@${'x'.repeat(60)}.test`, 4), 'forward')
  assert.deepEqual(long, { ok: false, why: 'the path is longer than 256 octets' })
  assert.ok(parsePath(routed(`@${'x'.repeat(50)}.test`, 4), 'forward').ok)
})

test('a> SIZE=1 <c@d.test is never a second address', () => {
  const parsed = parsePath('<a@b.test> SIZE=1 <c@d.test>', 'reverse')
  assert.ok(parsed.ok)
  assert.equal(parsed.value.path.domain, 'b.test')
  assert.ok(!parseParameters(parsed.value.rest).ok)
})

test('the null path is for senders only', () => {
  assert.ok(parsePath('<>', 'reverse').ok)
  assert.ok(!parsePath('<>', 'forward').ok)
})

test('paths with characters outside ASCII are marked', () => {
  for (const text of ['<ü@b.test>', '<a@bücher.test>', '<"ü x"@b.test>']) {
    const parsed = parsePath(text, 'forward')
    assert.ok(parsed.ok && parsed.value.path.isUtf8)
  }
})

test('parameters are read in order, with and without value', () => {
  const parsed = parseParameters(' size=10  BODY=8BITMIME SMTPUTF8 ')
  assert.deepEqual(parsed, {
    ok: true,
    value: [
      { keyword: 'SIZE', value: '10' },
      { keyword: 'BODY', value: '8BITMIME' },
      { keyword: 'SMTPUTF8', value: null },
    ],
  })
})

for (const text of [' A=', ' =1', ' A=b=c', ' -A', ' A_B', ' A A', ' A=1 a=2', ' A=\x7f', ' <x>'])
  test(`parameters ${JSON.stringify(text)} are refused`, () => assert.ok(!parseParameters(text).ok))

test('xtext brings any printable text back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme-ascii' }), text => {
      const encoded = encodeXtext(text)
      assert.match(encoded, /^[!-*,-<>-~+]*$/)
      assert.equal(decodeXtext(encoded), text)
    }),
  )
})

for (const text of ['a+0Ab', 'a+0D', 'a+00', 'a+7F', 'a+FF', 'a+zz', 'a+2', 'a=b', 'a b', '+2b', 'ü'])
  test(`xtext ${text} is refused`, () => assert.equal(decodeXtext(text), null))

test('the address form of RFC 6533 is decoded, without control characters', () => {
  assert.equal(decodeUtf8AddressXtext('\\x{FC}@b.test'), 'ü@b.test')
  assert.equal(decodeUtf8AddressXtext('ü@b.test'), 'ü@b.test')
  assert.equal(decodeUtf8AddressXtext('\\x{1F4A9}'), '\u{1f4a9}')
  for (const text of ['\\x{0A}', '\\x{D800}', '\\x{110000}', '\\x{}', '\\', '\\x{2028}', '\\x{85}'])
    assert.equal(decodeUtf8AddressXtext(text), null, text)
})

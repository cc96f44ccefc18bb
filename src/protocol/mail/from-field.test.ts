import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { fastestCpuMs, growthOver4 } from '../../../test/support/cpu-time.ts'
import { parseFromField, parseMailboxes } from './from-field.ts'

/** `name|local@domain`, or `!` and the reason. */
function read(value: string): string {
  const from = parseFromField(value)
  if (from.kind === 'refused') return `!${from.why}`
  return `${from.mailbox.name}|${from.mailbox.localPart}@${from.mailbox.domain}`
}

const good: readonly (readonly [string, string])[] = [
  ['a@d.test', '|a@d.test'],
  ['<a@d.test>', '|a@d.test'],
  ['A <a@D.Test>(c)', 'A|a@d.test'],
  ['(c)a@d.test', '|a@d.test'],
  ['(a comment) a@d.test (and one more)', '|a@d.test'],
  ['"a b"@d.test', '|"a b"@d.test'],
  ['"@"@d.test', '|"@"@d.test'],
  ['"x@evil.example y"@ok.example', '|"x@evil.example y"@ok.example'],
  ['"Bob <x@evil>" <a@d.test>', 'Bob <x@evil>|a@d.test'],
  ['"Doe, \\"J\\"" <a@d.test>', 'Doe, "J"|a@d.test'],
  ['John Q. Public <j.q+tag@d.test>', 'John Q. Public|j.q+tag@d.test'],
  ['[Team] News <a@d.test>', '[Team] News|a@d.test'],
  ['=?utf-8?q?J=C3=BCrg?= <a@d.test>', '=?utf-8?q?J=C3=BCrg?=|a@d.test'],
  ['Jürg <a@bücher.example>', 'Jürg|a@xn--bcher-kva.example'],
  ['a@d.test <a@d.test>', 'a@d.test|a@d.test'],
  ['a@d.test, ', '|a@d.test'],
]
for (const [value, expected] of good) {
  test(`From is read: ${value}`, () => assert.equal(read(value), expected))
}

const bad: readonly (readonly [string, RegExp])[] = [
  ['', /no address/],
  [', a@d.test', /no address/],
  ['a@d.test,, ', /no address/],
  ['a@d.test, (c)', /no address/],
  [' , ', /no address/],
  ['Alice', /no address|is no address/],
  ['<>', /empty/],
  ['a@d.test, b@e.test', /2 addresses/],
  ['A <a@d.test>, B <b@e.test>', /2 addresses/],
  ['g: a@d.test, b@d.test;', /group/],
  ['undisclosed-recipients:;', /group/],
  ['Doe, John <a@d.test>', /comma needs quotes/],
  ['x@evil.test <a@d.test>', /put it in quotes/],
  // What other readers take for another address (test/interop/address-differential.test.ts).
  ['a@d.test (c (d) <x@evil.test>)', /comment/],
  ['(c \\) x@evil.test,) a@d.test', /comment/],
  ['=?utf-8?q?x=40evil.test?=@d.test', /encoded word in the address/],
  ['=?utf-8?b?eEBldmlsLnRlc3Q=?=] <a@d.test>', /square brackets/],
  ['"x@evil.test" [x] <a@d.test>', /square brackets/],
  ['<"> x@evil.test"@d.test>', /angle bracket/],
  ['""@d.test', /empty local part/],
  ['<a@d.test>>', /behind the address/],
  ['<a@d.test> <b@e.test>', /behind the address/],
  ['<a@d.test> b@e.test', /behind the address/],
  ['<a@d.test', /not closed/],
  ['"open <a@d.test>', /does not end/],
  ['(open a@d.test', /does not end/],
  ['a @ d.test', /spaces/],
  ['a@d.test b', /spaces/],
  ['a@ d.test (c)', /spaces/],
  ['a..b@d.test', /not allowed/],
  ['a@-d.test', /hyphen/],
  ['a@d.test\r\nBcc: x@evil.test', /control character/],
  ['a\n@d.test', /control character|is no address/],
  ['"a\0" <a@d.test>', /does not end/],
  ['<@r.test:a@d.test>', /local part/],
  ['<a@d.test,b@e.test>', /not allowed/],
]
for (const [value, why] of bad) {
  test(`From is refused with advice: ${JSON.stringify(value)}`, () => {
    const result = read(value)
    assert.equal(result[0], '!')
    assert.match(result, why)
  })
}

test('the list form keeps the order and is bounded', () => {
  const list = parseMailboxes('a@x.test, B <b@y.test>')
  assert.deepEqual(list.kind === 'parsed' && list.mailboxes.map(mailbox => mailbox.localPart), ['a', 'b'])
  assert.equal(parseMailboxes('a@x.test,'.repeat(101)).kind, 'refused')
})

const megabyte = 1_000_000
for (const piece of [
  '(',
  '()',
  'a:',
  '<',
  '"',
  '""',
  ',',
  'a@b.test ',
  'a@b.test,',
  'g:a@b.test;',
  '\\',
  ' ',
  '=?a?q?a?= ',
  '=?',
  '[',
  ';',
  'ü',
])
  test(`a megabyte of nonsense is read in one pass, without recursion: ${JSON.stringify(piece)}`, t => {
    const read = (length: number): (() => void) => {
      const value = piece.repeat(length / piece.length)
      return () => assert.equal(parseFromField(value).kind, 'refused')
    }
    let [growth, costMs] = [growthOver4(megabyte, read), fastestCpuMs(read(megabyte))]
    // A busy machine may spoil one measurement; what is quadratic spoils all.
    for (let tries = 0; tries < 3 && (growth >= 8 || costMs >= 50); tries++)
      [growth, costMs] = [growthOver4(megabyte, read), fastestCpuMs(read(megabyte))]
    t.diagnostic(`${costMs} ms, ${growth.toFixed(1)} times a quarter of it`)
    assert.ok(growth < 8, `four times the length costs ${growth} times as much`)
    assert.ok(costMs < 50, `${costMs} ms`)
  })

test('whatever is accepted, postal-mime sees the same single address', async () => {
  const piece = fc.constantFrom(
    'a',
    'b@c.test',
    '<',
    '>',
    '"',
    ',',
    ' ',
    '(x)',
    '@',
    '.',
    ':',
    ';',
    '\\',
    'bob',
  )
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 7 }), async pieces => {
      const value = pieces.join('')
      const from = parseFromField(value)
      if (from.kind === 'refused' || from.mailbox.localPart.startsWith('"')) return
      accepted++
      const mail = await PostalMime.parse(`From: ${value}\r\n\r\n`)
      assert.equal(mail.from?.address, `${from.mailbox.localPart}@${from.mailbox.domain}`, value)
    }),
    { numRuns: 5000 },
  )
  assert.ok(accepted > 20)
})

test('a refusal shows no control character of the field', () => {
  for (const value of ['<a\ta>a', '<a\u007f>', '<a\u0085b>', '<a\u2028b>']) {
    const field = parseFromField(value)
    assert.ok(field.kind === 'refused')
    assert.doesNotMatch(field.why, /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
  }
})

test('an angle bracket in a quoted local part is refused, with brackets around the address and without', () => {
  for (const value of ['"a <b"@acme.example', '<"a <b"@acme.example>', 'Ann <"a>b"@acme.example>']) {
    const field = parseFromField(value)
    assert.ok(field.kind === 'refused')
    assert.match(field.why, /angle bracket in its local part/)
  }
})

test('only space and tab are white space around an address', () => {
  assert.equal(parseFromField(' \t<\t ann@acme.example > ').kind, 'parsed')
  for (const space of ['\u00a0', '\u2003', '\ufeff', '\u2028'])
    assert.equal(parseFromField(`<ann@acme.example${space}>`).kind, 'refused')
})

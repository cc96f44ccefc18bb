// Our reader of From fields against the readers of others: Python's email package (both of its parsers), Perl's
// Email::Address::XS, postal-mime, and nodemailer's, which mailauth uses as well.
//
// What matters: the domain that our policy checks must be the one that every receiver sees. So:
//   1. whatever we accept, nobody sees an address of another domain in it; in a corpus, and in values at random;
//   2. where we accept and somebody sees other addresses, or none, the difference is a reviewed row of `differs`;
//   3. where we refuse what most others read as the same one address, it is a reviewed row of `stricter`.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import { parseMailboxes } from '../../src/protocol/mail/index.ts'
import { askAll, type Opinions, type ParserName, parserNames } from './support/address-parsers.ts'
import { needs } from './support/needs.ts'

/** Values on which all agree with us, or where the rows below say how not. */
const corpus: readonly string[] = [
  'a@d.test',
  'A <a@d.test>',
  'A <a@d.test>(c)',
  '(c)a@d.test',
  'a@d.test(c)',
  'A (c) <a@d.test>',
  '<a@d.test>',
  '< a@d.test >',
  'A<a@d.test>',
  '"A"<a@d.test>',
  '"A""B" <a@d.test>',
  '"a b"@d.test',
  '"a\\"b"@d.test',
  '"@"@d.test',
  '"a,b"@d.test',
  '"x@evil.example y"@ok.example',
  'a@[127.0.0.1]',
  'a@localhost',
  'a+b@d.test',
  'a=b@d.test',
  "o'neil@d.test",
  '{a}@d.test',
  'a%b@d.test',
  'a!b@d.test',
  'A@D.TEST',
  'a@d.test, ',
  'a@d.test,b@e.test',
  '"Bob <x@evil.test>" <a@d.test>',
  '"x@evil.test" <a@d.test>',
  '"x@evil.test, " <a@d.test>',
  '"Doe, John" <a@d.test>',
  '"a\\\\" <a@d.test>',
  'A. B. <a@d.test>',
  'N | M <a@d.test>',
  "'N' <a@d.test>",
  '=?utf-8?q?J=C3=BCrg?= <a@d.test>',
  '=?utf-8?q?x=40evil.test?= <a@d.test>',
  '=?utf-8?q?=22x=40evil.test=22_=3C?= <a@d.test>',
  '"=?utf-8?q?=22_=3Cx=40evil.test=3E?=" <a@d.test>',
  'Jürg <a@d.test>',
  'ü@d.test',
  'a@bücher.test',
  'a@аpple.test',
  'A (x@evil.test) <a@d.test>',
  'a@d.test (x@evil.test)',
  '(<x@evil.test) a@d.test',
  'N (") <a@d.test> (c)',
  '[T] <a@d.test>',
  'N [x <a@d.test>',
  'a@d.test <a@d.test>',
  '. <a@d.test>',
  '"\\a"@d.test',
  'A <"b c"@d.test>',
]

/** We accept; these readers see something else. None sees another domain, which the first test holds. */
const differs: readonly (readonly [value: string, who: readonly ParserName[], why: string])[] = [
  [
    '[T] <a@d.test>',
    ['python', 'python policy', 'perl'],
    'Brackets without quotes are no phrase; they see a word, or nothing, beside or instead of the address.',
  ],
  ['N [x <a@d.test>', ['python', 'python policy', 'perl'], 'As above.'],
  ['a@d.test <a@d.test>', ['python'], 'The same address twice.'],
  ['. <a@d.test>', ['python policy', 'perl'], 'A phrase of a dot: one fails, one sees nothing.'],
]

/** Most others read one and the same address; we refuse. */
const stricter: readonly (readonly [value: string, why: string])[] = [
  ['a..b@d.test', 'Not a dot-atom; such a mailbox can be written "a..b"@d.test.'],
  ['.a@d.test', 'As above.'],
  ['a.@d.test', 'As above.'],
  ['a@d.', 'A final dot is not part of an address (RFC 5321 §2.3.5).'],
  ['a@-d.test', 'No host name.'],
  ['a@d_x.test', 'No host name.'],
  ['a@xn--a.test', 'An A-label that means nothing.'],
  ['a@1.2.3.4', 'An address without its brackets.'],
  ['a@[1.2.3]', 'An address literal that is none.'],
  ['a@[IPv6:::1]', 'Outside of angle brackets a colon begins a group for some.'],
  ['a(c)@d.test', 'A comment inside the address (obsolete).'],
  ['a@(c)d.test', 'As above.'],
  ['a @ d.test', 'Spaces inside the address (obsolete); some readers stop at the first.'],
  ['a@ d.test', 'As above.'],
  ['a@d .test', 'As above; one reader sees another domain.'],
  ['<a@d.test>>', 'Garbage behind the address.'],
  ['<<a@d.test>>', 'Two brackets.'],
  ['<a@d.test', 'The bracket is not closed.'],
  ['a@d.test>', 'A bracket that was not opened.'],
  ['<a@d.test> <b@e.test>', 'Two addresses; others see only one of them.'],
  ['<a@d.test> b@e.test', 'As above.'],
  ['a@d.test b@e.test', 'As above.'],
  ['name <a@d.test> name', 'Words behind the address.'],
  ['<@r.test:a@d.test>', 'A source route (obsolete).'],
  [', a@d.test', 'An empty element (obsolete).'],
  ['A: B <a@d.test>', 'A group that does not end.'],
  ['mailto:a@d.test', 'A group for some, a URI for others.'],
  ['a@d.test?x=y', 'No host name.'],
  ['a@d.test/b', 'No host name.'],
  ['a@d。test', 'A full stop of another script: IDNA maps it, readers do not.'],
  ['a\u200b@d.test', 'A character without width.'],
  ['\u202ea@d.test', 'A mark of direction.'],
  ['a\u00a0@d.test', 'A space that does not break.'],
  ['a\\@d.test', 'A backslash outside of quotes.'],
  ['a@d.test (c (d))', 'A comment in a comment: one reader ends it too early.'],
  ['a@d.test (c', 'A comment that does not end.'],
  ['=?utf-8?q?=61?=@d.test', 'An encoded word in the address: one reader decodes it.'],
  ['x@evil.test <a@d.test>', 'A display name that is an address: two readers take it for the sender.'],
  ['A @ B <a@d.test>', 'As above.'],
  ["'x@evil.test' <a@d.test>", 'As above.'],
  ['Doe, John <a@d.test>', 'The comma parts two elements; the first is no address.'],
  ['a@d.test:b@e.test', 'A group for some; they see different addresses.'],
]

/** Local part without quoting, domain as an A-label: two spellings of one address are the same. */
function canonical(address: string): string {
  const text = address.trim()
  const at = text.lastIndexOf('@')
  if (at < 0) return text
  let local = text.slice(0, at)
  if (local.startsWith('"') && local.endsWith('"')) local = local.slice(1, -1).replace(/\\(.)/g, '$1')
  const domain = text.slice(at + 1)
  return `${local}@${(domainToASCII(domain) || domain).toLowerCase()}`
}

const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1)

/** Our addresses in canonical form; null when the value is refused. */
function ours(value: string): string[] | null {
  const list = parseMailboxes(value)
  if (list.kind === 'refused') return null
  return list.mailboxes.map(({ localPart, domain }) => canonical(`${localPart}@${domain}`))
}

/** Fails when somebody sees an address of a domain that we do not see. */
function nobodySeesAnotherDomain(value: string, own: readonly string[], opinions: Opinions): void {
  const domains = new Set(own.map(domainOf))
  for (const name of parserNames)
    for (const seen of opinions[name].map(canonical))
      assert.ok(
        !seen.includes('@') || domains.has(domainOf(seen)),
        `${name} sees ${seen} in ${JSON.stringify(value)}, we see ${own.join()}`,
      )
}

const needed = await needs('python3', 'Email::Address::XS')

test(
  'whatever of the corpus we accept, no other reader sees an address of another domain in it',
  needed,
  () => {
    const opinions = askAll(corpus)
    for (const [index, value] of corpus.entries()) {
      const own = ours(value)
      assert.ok(own !== null, `${value} is accepted`)
      nobodySeesAnotherDomain(value, own, opinions[index]!)
    }
  },
)

test('where another reader sees other addresses than we do, the difference is a reviewed row', needed, () => {
  const opinions = askAll(corpus)
  for (const [index, value] of corpus.entries()) {
    const own = ours(value)!
    const found = parserNames.filter(name => opinions[index]![name].map(canonical).join() !== own.join())
    const [, reviewed = []] = differs.find(([one]) => one === value) ?? []
    assert.deepEqual(found, [...reviewed], value)
  }
  for (const [value] of differs) assert.ok(corpus.includes(value), `${value} is in the corpus`)
})

test('each reviewed row of what most others read as one address is refused by us', needed, () => {
  for (const [value] of stricter) assert.equal(ours(value), null, `${value} is refused`)
})

const piece = fc.constantFrom(
  ...[
    'b@d.test',
    'x@e.test',
    '<',
    '>',
    '<b@d.test>',
    '<x@e.test>',
    '"',
    '"',
    '\\',
    '(',
    ')',
    '(c)',
    ',',
    ';',
    ':',
  ],
  ...[
    ' ',
    '  ',
    '\t',
    'N',
    '"N M"',
    '@',
    '.',
    '[',
    ']',
    "'",
    'é',
    '\\"',
    '\\(',
    '\\)',
    '"@d.test',
    'd.test',
    '@d.test',
  ],
  ...['""', '\u00a0', 'a', '=?utf-8?q?x=40e.test?=', '=?utf-8?b?eEBlLnRlc3Q=?='],
)

test('of values made at random, nobody sees another domain in what we accept', needed, () => {
  const accepted = new Map<string, string[]>()
  const values = fc.sample(fc.array(piece, { minLength: 1, maxLength: 9 }), { numRuns: 150_000, seed: 38 })
  for (const pieces of values) {
    const value = pieces.join('').trim()
    const own = ours(value)
    if (own !== null) accepted.set(value, own)
  }
  assert.ok(accepted.size > 300, `${accepted.size} were accepted`)
  const all = [...accepted.keys()]
  for (const [index, opinions] of askAll(all).entries())
    nobodySeesAnotherDomain(all[index]!, accepted.get(all[index]!)!, opinions)
})

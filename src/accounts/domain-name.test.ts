import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkDomainName } from './domain-name.ts'

test('domains become lower-case A-labels', () => {
  for (const [text, name] of [
    ['Example.COM', 'example.com'],
    ['example.com.', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['a-b.example.test', 'a-b.example.test'],
  ] as const)
    assert.deepEqual(checkDomainName(text), { ok: true, name })
})

test('what mail cannot be from is not a domain', () => {
  for (const text of [
    '',
    '.',
    'localhost',
    'a..example',
    '-a.example',
    'a-.example',
    'a b.example',
    'user@a.example',
    'a.example:25',
    'http://a.example',
    '127.0.0.1',
    '1.2',
    '[::1]',
    `${'a'.repeat(64)}.example`,
    'a.example/x',
    '_dmarc.a.example',
    'xn--a.example',
    'a%2e.example',
  ])
    assert.equal(checkDomainName(text).ok, false, text)
})

test('any text is answered, and an accepted name is accepted again unchanged', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.domain(), fc.string({ unit: 'grapheme' })), text => {
      const result = checkDomainName(text)
      if (result.ok) assert.deepEqual(checkDomainName(result.name), result)
    }),
  )
})

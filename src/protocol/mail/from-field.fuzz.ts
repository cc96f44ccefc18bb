// Fuzz target: the From field, also against what other readers see in it.

import assert from 'node:assert/strict'
import { addressParser } from 'postal-mime'
import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import { formatAddress, normalizeDomainOrLiteral } from './address.ts'
import { type Mailbox, parseFromField } from './from-field.ts'

const quoted = (name: string): string => `"${name.replace(/["\\]/g, '\\$&')}"`

const write = (mailbox: Mailbox): string =>
  mailbox.name === '' ? `<${formatAddress(mailbox)}>` : `${quoted(mailbox.name)} <${formatAddress(mailbox)}>`

/** Domains that another reader finds in the field; what is no domain leads nobody astray. */
function otherDomains(value: string): string[] {
  return addressParser(value, { flatten: true }).flatMap(({ address = '' }) => {
    const domain = normalizeDomainOrLiteral(address.slice(address.lastIndexOf('@') + 1))
    return domain.ok ? [domain.value] : []
  })
}

export const target: FuzzTarget = {
  name: 'from-field',
  invariants: [
    'a mailbox that was read can be written and read again, and is the same',
    'no domain but ours is found by postal-mime in a field that we accept',
    'a refusal is one line of printable text',
  ],
  dictionary: [
    '<',
    '>',
    '@',
    '"',
    '\\',
    '(',
    ')',
    ',',
    ':',
    ';',
    '[',
    ']',
    '=?utf-8?q?a?=',
    'a@b.test',
    '<a@b.test>',
    ' ',
    '\t',
    '"a@x.test" ',
    '\xc3\xa9',
  ],
  seeds: [
    'a@b.test',
    'Bob <a@b.test>',
    '"Bob, the <x@evil.test>" <a@b.test>',
    '(c) a@b.test (d)',
    'a@b.test <a@b.test>',
    '"a b"@c.test',
    'g: a@b.test;',
    '=?utf-8?q?J=C3=B6rg?= <j@b.test>,',
    '<a@[127.0.0.1]>',
    // Control characters once came back in the refusal.
    '<a\ta>a',
    '<\x7f>',
    // A bracket in quotes was once refused only between brackets.
    '"a & <b"@a',
  ],
  inputBytesMax: 300,
  run(input) {
    const value = input.toString('utf8').replaceAll('\r\n', '')
    const field = parseFromField(value)
    if (field.kind === 'refused') {
      must(
        field.why !== '' && !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(field.why),
        'a refusal is one line of printable text',
      )
      return
    }
    const { mailbox } = field
    const again = parseFromField(write(mailbox))
    must(
      again.kind === 'parsed',
      `a mailbox that was read can be written: ${again.kind === 'refused' ? again.why : ''}`,
    )
    if (again.kind === 'parsed') {
      assert.equal(formatAddress(again.mailbox), formatAddress(mailbox))
      assert.equal(again.mailbox.name, mailbox.name)
    }
    for (const domain of otherDomains(value))
      assert.equal(domain, mailbox.domain, 'another reader sees the same domain')
  },
}

// Fuzz target: the grammar behind the commands: paths, parameters, xtext.

import assert from 'node:assert/strict'
import { type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import { parseParameters } from './parameters.ts'
import { parsePath, type SmtpPath } from './path.ts'
import { decodeUtf8AddressXtext, decodeXtext, encodeXtext } from './xtext.ts'

const write = ({ localPart, domain }: SmtpPath): string =>
  domain === '' ? `<${localPart}>` : `<${localPart}@${domain}>`

function checkPath(text: string, kind: 'reverse' | 'forward'): void {
  const parsed = parsePath(text, kind)
  if (!parsed.ok) {
    must(parsed.why !== '' && !/[\r\n]/.test(parsed.why), 'a refusal says why, in one line')
    return
  }
  const { path, rest } = parsed.value
  const written = write(path)
  must(Buffer.byteLength(written) <= 256, 'a path is within its limit')
  must(!/[\u0000-\u001f\u007f]/.test(written), 'a path has no control characters')
  must(text.endsWith(rest) && (rest === '' || rest.startsWith(' ')), 'what follows stands behind a space')
  const again = parsePath(written, kind)
  must(again.ok, `a path that was read can be written and read again: ${again.ok ? '' : again.why}`)
  if (!again.ok) return
  assert.equal(again.value.rest, '')
  assert.equal(write(again.value.path), written)
  const parameters = parseParameters(rest)
  if (!parameters.ok) return
  const names = parameters.value.map(({ keyword }) => keyword)
  must(new Set(names).size === names.length, 'no keyword comes twice')
  const joined = parameters.value.map(({ keyword, value }) =>
    value === null ? keyword : `${keyword}=${value}`,
  )
  assert.deepEqual(parseParameters(joined.map(one => ` ${one}`).join('')), parameters)
}

function checkXtext(text: string): void {
  const plain = decodeXtext(text)
  if (plain !== null) {
    must(/^[ -~]*$/.test(plain), 'decoded xtext is printable ASCII')
    assert.equal(decodeXtext(encodeXtext(plain)), plain)
  }
  const unicode = decodeUtf8AddressXtext(text)
  if (unicode !== null)
    must(!/[\u0000-\u001f\u007f-\u009f]/.test(unicode), 'a decoded address has no control characters')
  must(/^[!-~]*$/.test(encodeXtext(text)), 'encoded xtext is printable ASCII without spaces')
}

export const target: FuzzTarget = {
  name: 'grammar',
  invariants: [
    'a path that was read can be written and read again, and means the same',
    'no path has control characters or is longer than 256 octets',
    'parameters have no keyword twice and can be written and read again; decoded xtext is free of control characters',
  ],
  dictionary: [
    '<',
    '>',
    '@',
    '"',
    '\\',
    '<>',
    '<postmaster>',
    '@a.test,@b.test:',
    '[127.0.0.1]',
    '[IPv6:::1]',
    ' SIZE=1',
    ' BODY=8BITMIME',
    ' RET=FULL',
    ' ENVID=a+20b',
    ' NOTIFY=NEVER',
    ' ORCPT=rfc822;a',
    '+2B',
    '\\x{E9}',
    'xn--bcher-kva',
    '\xc3\xbc',
    '.test',
  ],
  seeds: [
    '<a@b.test> SIZE=100 BODY=8BITMIME',
    '<"x@evil y"@ok.test>',
    '<@hop.test,@hop2.test:a@b.test>',
    '<>',
    '<postmaster>',
    '<a@[IPv6:2001:db8::1]>',
    '<\xc3\xbc@b\xc3\xbccher.test> SMTPUTF8',
    'a+20b+3D',
    '\\x{E9}@x',
  ],
  inputBytesMax: 400,
  run(input) {
    const text = input.toString('utf8')
    checkPath(text, 'reverse')
    checkPath(text, 'forward')
    checkXtext(text)
    checkXtext(input.toString('latin1'))
  },
}

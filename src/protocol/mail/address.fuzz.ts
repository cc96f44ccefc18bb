// Fuzz target: addresses, domains and the key under which an address is suppressed.

import assert from 'node:assert/strict'
import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import { addressKey, formatAddress, normalizeDomainOrLiteral, parseAddress } from './address.ts'

const hostName = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

function checkDomain(text: string): void {
  const domain = normalizeDomainOrLiteral(text)
  if (!domain.ok) {
    must(domain.why !== '', 'a refusal says why')
    return
  }
  const { value } = domain
  must(value.length <= 255, 'a domain is within its limit')
  must(value.startsWith('[') || hostName.test(value), 'a domain is a lower-case A-label name or a literal')
  assert.deepEqual(normalizeDomainOrLiteral(value), domain)
}

export const target: FuzzTarget = {
  name: 'address',
  invariants: [
    'an address that was read can be written and read again, and is the same',
    'a domain is a lower-case A-label name of at most 255 octets or a literal; its normal form is final',
    'the key of an address does not change when it is made again, and does not depend on case',
  ],
  dictionary: [
    '@',
    '"',
    '\\"',
    '.',
    '-',
    'xn--',
    'xn--bcher-kva',
    '[127.0.0.1]',
    '[IPv6:::1]',
    '[IPv6:::ffff:1.2.3.4]',
    '\xc3\xbc',
    '\xef\xbc\xa0',
    '\xe3\x80\x82',
    '\xc4\xb0',
    '\xc3\x9f',
    '\xe2\x80\x8d',
    '\xd0\xb0',
    '\xcc\x88',
    'a@b.test',
    '%',
    '1.2.3.4',
    'test',
    '\xef\xac\x81',
    '\xf0\x9f\x98\x80',
  ],
  seeds: [
    'a@b.test',
    '"a b"@b.test',
    '"a\\"b"@b.test',
    '"@"@d.test',
    'a..b@d.test',
    'a@[127.0.0.1]',
    'a@[IPv6:::1]',
    '\xc3\xbc@b\xc3\xbccher.test',
    'A@XN--BCHER-KVA.test',
    'a@stra\xc3\x9fe.test',
    'a@\xef\xbd\x81.test',
    '\xc4\xb0@x.test',
    'a@1.2.3.4',
  ],
  inputBytesMax: 400,
  longBytesMax: 16_384,
  run(input) {
    const text = input.toString('utf8')
    checkDomain(text)
    const address = parseAddress(text)
    if (!address.ok) {
      must(address.why !== '', 'a refusal says why')
      return
    }
    const { localPart, domain } = address.value
    checkDomain(domain)
    const written = formatAddress(address.value)
    must(Buffer.byteLength(written) <= 254, 'an address is within its limit')
    must(!/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(written), 'an address has no control characters')
    const again = parseAddress(written)
    must(again.ok, 'an address that was read can be written and read again')
    if (again.ok) assert.equal(formatAddress(again.value), written)
    const key = addressKey(address.value)
    const local = key.slice(0, key.length - domain.length - 1)
    assert.equal(addressKey({ localPart: local, domain }), key, 'the key of a key is the key')
    assert.equal(
      addressKey({ localPart: localPart.normalize('NFD'), domain }),
      key,
      'composition does not matter',
    )
  },
}

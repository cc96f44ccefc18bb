import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cidrProblem, createAddressGuard, ownAddressCheck } from './index.ts'

const guard = createAddressGuard([])

const refused: readonly string[] = [
  ...['0.0.0.0', '0.1.2.3', '127.0.0.1', '127.255.255.254', '10.1.2.3', '172.16.0.1', '172.31.255.255'],
  ...[
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '100.127.255.255',
    '192.0.0.8',
    '198.18.0.1',
    '198.19.9.9',
  ],
  ...['224.0.0.1', '239.1.1.1', '240.0.0.1', '255.255.255.255'],
  ...['::', '::1', 'fc00::1', 'fd12:3456::1', 'fe80::1', 'febf::1', 'fec0::1', 'ff02::1'],
]

const disguised: readonly string[] = [
  ...['::ffff:10.0.0.1', '::ffff:7f00:1', '::ffff:8.8.8.8', '::10.0.0.1', '::ffff:0:10.0.0.1'],
  ...['64:ff9b::10.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::8.8.8.8', '64:ff9b:1:ab::1'],
  ...['2002:7f00:1::1', '2002:0a00:0001::', '2002:c0a8:101::1'],
  // Teredo: private server, then private client (10.0.0.1 with all bits turned over).
  ...['2001:0:a00:1::1', '2001:0:808:808:0:0:f5ff:fffe'],
  ...['2001:db8::5efe:10.0.0.1', '2001:db8::200:5efe:127.0.0.1'],
]

const open: readonly string[] = [
  ...[
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.1',
    '172.15.255.255',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
  ],
  ...['192.0.1.1', '192.167.1.1', '198.17.1.1', '198.20.1.1', '223.255.255.255', '126.255.255.255'],
  ...['2607:f8b0::1', '2a00:1450:4001::1a', '64:ff9b::8.8.8.8', '2002:808:808::1'],
  ...['2001:0:808:808:0:0:f7f7:f7f7', '2607:f8b0::5efe:8.8.8.8'],
]

test('private and reserved addresses are refused, their public neighbours are not', () => {
  for (const address of refused) assert.equal(guard.isRefused(address), true, address)
  for (const address of open) assert.equal(guard.isRefused(address), false, address)
})

test('a private IPv4 address inside an IPv6 one is found in every form', () => {
  for (const address of disguised) assert.equal(guard.isRefused(address), true, address)
})

test('what is no plain address is refused', () => {
  for (const text of [
    '',
    'localhost',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    'fe80::1%lo',
    '2607::1%eth0',
    '[::1]',
  ]) {
    assert.equal(guard.isRefused(text), true, text)
  }
})

test('allowed networks open exactly themselves, in mapped and translated form too', () => {
  const some = createAddressGuard(['127.0.0.0/8', 'fd00:1::/32', '10.0.0.5'])
  const opened = ['127.0.0.1', 'fd00:1::9', '10.0.0.5', '::ffff:127.0.0.1', '64:ff9b::10.0.0.5']
  for (const address of opened) assert.equal(some.isRefused(address), false, address)
  for (const address of ['10.0.0.6', '::1', 'fd00:2::9', '::ffff:10.0.0.6']) {
    assert.equal(some.isRefused(address), true, address)
  }
})

test('no mapped or translated form of a private address gets through', () => {
  const byte = fc.nat(255)
  fc.assert(
    fc.property(fc.constantFrom(10, 127), byte, byte, byte, (head, b, c, d) => {
      const hex = [head * 256 + b, c * 256 + d].map(group => group.toString(16)).join(':')
      for (const prefix of ['::ffff:', '::', '64:ff9b::', '64:ff9b:1::', '2002:']) {
        const address = prefix === '2002:' ? `2002:${hex}::` : `${prefix}${hex}`
        assert.equal(guard.isRefused(address), true, address)
      }
    }),
  )
})

test('a wrong network in the configuration is named', () => {
  assert.equal(cidrProblem('10.0.0.0/8'), null)
  assert.equal(cidrProblem('::1'), null)
  assert.match(cidrProblem('10.0.0.0/33') ?? '', /from 0 to 32/)
  assert.match(cidrProblem('10.0.0/8') ?? '', /does not begin with an IP address/)
  assert.throws(() => createAddressGuard(['fe80::/x']), /from 0 to 128/)
})

test('our own listeners are known by address and port', () => {
  const isOwn = ownAddressCheck(
    [
      { address: '127.0.0.1', port: 2525 },
      { address: '2001:db8::1', port: 25 },
    ],
    ['192.0.2.1'],
  )
  assert.equal(isOwn('127.0.0.1', 2525), true)
  assert.equal(isOwn('::ffff:127.0.0.1', 2525), true)
  assert.equal(isOwn('2001:DB8:0::1', 25), true)
  for (const [address, port] of [
    ['127.0.0.1', 25],
    ['127.0.0.2', 2525],
    ['192.0.2.1', 2525],
  ] as const) {
    assert.equal(isOwn(address, port), false, address)
  }
})

test('a wildcard listener is at every address of the machine', () => {
  const v4 = ownAddressCheck([{ address: '0.0.0.0', port: 25 }], ['192.0.2.1', '2001:db8::1'])
  for (const address of ['192.0.2.1', '127.0.0.1', '127.9.9.9', '0.0.0.0'])
    assert.equal(v4(address, 25), true, address)
  for (const address of ['192.0.2.2', '2001:db8::1', '::1']) assert.equal(v4(address, 25), false, address)
  assert.equal(v4('192.0.2.1', 587), false)
  const both = ownAddressCheck([{ address: '::', port: 25 }], ['192.0.2.1', '2001:db8::1'])
  for (const address of ['192.0.2.1', '127.0.0.1', '2001:db8:0::1', '::1']) {
    assert.equal(both(address, 25), true, address)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatSocketAddress, isEverybody, NetworkSet, parseNetwork, parseSocketAddress } from './address.ts'

test('socket addresses survive printing and reading', () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65535 }), (host, port) => {
      assert.deepEqual(parseSocketAddress(formatSocketAddress({ host, port })), {
        ok: true,
        value: { host, port },
      })
    }),
  )
  assert.deepEqual(parseSocketAddress('localhost:25'), { ok: true, value: { host: '127.0.0.1', port: 25 } })
})

test('listening needs an IP address and a port', () => {
  for (const text of [
    '',
    ':25',
    '127.0.0.1',
    '127.0.0.1:65536',
    'example.com:25',
    '::1:25',
    '[127.0.0.1]:25',
    '127.0.0.1:x',
  ])
    assert.equal(parseSocketAddress(text).ok, false, text)
})

test('networks get their prefix length, and bits behind it are refused', () => {
  for (const [text, value] of [
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['192.0.2.7', '192.0.2.7/32'],
    ['fd00::/8', 'fd00::/8'],
    ['::1', '::1/128'],
    ['::/0', '::/0'],
    ['::ffff:192.0.2.0/120', '::ffff:192.0.2.0/120'],
  ] as const)
    assert.deepEqual(parseNetwork(text), { ok: true, value })
  for (const text of [
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/',
    'fd00::1/8',
    '::/129',
    '10.0.0',
    'fe80::1%eth0',
    'example.com',
  ])
    assert.equal(parseNetwork(text).ok, false, text)
})

test('a set of networks knows its members, IPv4 written as IPv6 too', () => {
  const set = new NetworkSet(['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32'])
  for (const address of ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3', 'fd12::1', '192.0.2.7'])
    assert.equal(set.has(address), true, address)
  for (const address of ['11.0.0.0', '192.0.2.8', 'fe80::1', '::1', 'x', ''])
    assert.equal(set.has(address), false, address)
  assert.equal(new NetworkSet([]).isEmpty, true)
})

test('an IPv6 network never has IPv4 clients in it, but for one of IPv4-mapped addresses, which is one of IPv4', () => {
  for (const network of ['::/0', '::/8', '::/64', '::/80', '2000::/3']) {
    const set = new NetworkSet([network])
    for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '::ffff:c000:207'])
      assert.equal(set.has(address), false, `${address} in ${network}`)
  }
  assert.equal(new NetworkSet(['::/64']).has('::7'), true)
  const mapped = new NetworkSet(['::ffff:192.0.2.0/120'])
  for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '::ffff:c000:207'])
    assert.equal(mapped.has(address), true, address)
  for (const address of ['192.0.3.7', '::192.0.2.7', '2001:db8::1'])
    assert.equal(mapped.has(address), false, address)
})

test('everybody is more than anybody has: under /8 of IPv4, however it is written, and under /16 of IPv6', () => {
  for (const network of [
    '0.0.0.0/0',
    '0.0.0.0/1',
    '128.0.0.0/1',
    '192.0.0.0/2',
    '8.0.0.0/7',
    '::ffff:0:0/96',
    '::ffff:0.0.0.0/97',
    '::ffff:128.0.0.0/97',
    '::/0',
    '::/1',
    '8000::/1',
    '2000::/3',
    '2a00::/12',
    'fc00::/6',
  ])
    assert.equal(isEverybody(network), true, network)
  for (const network of [
    '10.0.0.0/8',
    '127.0.0.0/8',
    '192.168.0.0/16',
    '192.0.2.7/32',
    '::ffff:10.0.0.0/104',
    'fc00::/7',
    'fd00::/8',
    'fe80::/10',
    '2001:db8::/32',
    '::1/128',
  ])
    assert.equal(isEverybody(network), false, network)
})

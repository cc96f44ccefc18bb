import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSmarthost, RouteTable, smarthostKey } from './route.ts'

const to = (recipientDomain: string, host: string) => ({ recipientDomain, smarthost: { host, port: 25 } })

test('the most specific route wins: domain, then longest suffix, then everything', () => {
  const table = new RouteTable([
    to('*', 'all'),
    to('.example.com', 'below'),
    to('.mail.example.com', 'further-below'),
    to('example.com', 'exact'),
  ])
  assert.equal(table.find('example.com')?.host, 'exact')
  assert.equal(table.find('a.example.com')?.host, 'below')
  assert.equal(table.find('a.mail.example.com')?.host, 'further-below')
  assert.equal(table.find('badexample.com')?.host, 'all')
})

test('without a route mail goes by MX', () => {
  assert.equal(new RouteTable([]).find('example.com'), null)
  assert.equal(new RouteTable([to('.example.com', 'x')]).find('example.com'), null)
})

test('a smarthost is a name or address with an optional port', () => {
  assert.deepEqual(parseSmarthost('Mail.example.com'), { host: 'mail.example.com', port: 25 })
  assert.deepEqual(parseSmarthost('192.0.2.1:587'), { host: '192.0.2.1', port: 587 })
  assert.deepEqual(parseSmarthost('[2001:db8::1]:26'), { host: '2001:db8::1', port: 26 })
  const implicit = (host: string, port: number) => ({ host, port, isImplicitTls: true })
  assert.deepEqual(parseSmarthost('smtps://Mail.example.com'), implicit('mail.example.com', 465))
  assert.deepEqual(parseSmarthost('smtps://[::1]:1465'), implicit('::1', 1465))
  for (const bad of [
    'smtp://a:25',
    'smtps://',
    'smtps://a/b',
    '',
    'a:0',
    'a:65536',
    'a:b',
    '2001:db8::1',
    'a b',
    '[::1',
  ])
    assert.equal(parseSmarthost(bad), null, bad)
  assert.equal(smarthostKey({ host: 'a', port: 25 }), 'smarthost:a:25')
  assert.equal(smarthostKey({ host: 'a', port: 25, isImplicitTls: true }), 'smtps:a:25')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RouteTable, smarthostKey } from './route.ts'

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

test('TLS from the first byte makes another path', () => {
  assert.equal(smarthostKey({ host: 'a', port: 25 }), 'smarthost:a:25')
  assert.equal(smarthostKey({ host: 'a', port: 25, isImplicitTls: false }), 'smarthost:a:25')
  assert.equal(smarthostKey({ host: 'a', port: 25, isImplicitTls: true }), 'smtps:a:25')
})

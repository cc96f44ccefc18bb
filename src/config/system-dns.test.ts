import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dnsServersOf, systemDnsServers } from './system-dns.ts'

const hosts = (resolvConf: string): string[] => systemDnsServers(resolvConf).map(({ host }) => host)

test('the servers of a resolv.conf are its addresses, zones and all, and no other words', () => {
  const text = `# by hand
; nameserver 192.0.2.9
search example.com
nameserver 192.0.2.1
  nameserver\t2001:db8::1 # the second
nameserver fe80::1%eth0\r
nameserver foo
nameserver 192.0.2
nameserver
nameservers 192.0.2.8
`
  assert.deepEqual(hosts(text), ['192.0.2.1', '2001:db8::1', 'fe80::1%eth0'])
  assert.deepEqual(systemDnsServers('nameserver ::1')[0], { host: '::1', port: 53 })
})

test('where none is named the local resolver is asked', () => {
  for (const text of ['', 'nameserver foo\n', 'search example.com'])
    assert.deepEqual(hosts(text), ['127.0.0.1'])
})

test('the configuration goes before the machine', () => {
  const servers = [{ host: '192.0.2.53', port: 5353 }]
  assert.deepEqual(dnsServersOf({ dns: { servers, trustAnchor: [] } }), servers)
  assert.ok(dnsServersOf({ dns: { servers: [], trustAnchor: [] } }).length > 0)
})

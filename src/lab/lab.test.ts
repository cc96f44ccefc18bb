import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { test } from 'node:test'
import { addressOf, labDomains, labHosts } from './hosts.ts'
import { isLabAddress, startLab } from './index.ts'
import { codes, connect, deliver, dial, inTransaction, mx1, session } from './test-kit.ts'

const hostAddress = (label: string): string => addressOf(labHosts.find(one => one.label === label)!)

test('any domain under .test has two MX hosts whose addresses belong to the lab', async () => {
  await using lab = await startLab()
  const dns = new Resolver({ timeout: 5000 })
  dns.setServers([`127.0.0.1:${lab.dnsPort}`])
  const found = await dns.resolveMx('deep.some-company.test')
  assert.deepEqual(found.map(({ priority, exchange }) => `${priority} ${exchange}`).sort(), [
    '10 mx1.lab.test',
    '20 mx2.lab.test',
  ])
  for (const { label } of labHosts) {
    const [address = ''] = await dns.resolve4(`${label}.lab.test`)
    assert.ok(lab.isLabAddress(address) && isLabAddress(address), `${label} ${address}`)
  }
  assert.equal(lab.isLabAddress('127.0.0.1'), false)
})

test('the special domains answer as their texts say', async () => {
  await using lab = await startLab()
  const dns = new Resolver({ timeout: 5000 })
  dns.setServers([`127.0.0.1:${lab.dnsPort}`])
  const exchanges = async (domain: string): Promise<string[]> =>
    (await dns.resolveMx(domain)).sort((a, b) => a.priority - b.priority).map(one => one.exchange)
  assert.deepEqual(await exchanges('two-mx.test'), ['dead.lab.test', 'mx2.lab.test'])
  assert.deepEqual(await exchanges('alias.test'), ['dead.lab.test', 'mx2.lab.test'])
  assert.deepEqual(await exchanges('null-mx.test'), [''])
  assert.equal((await exchanges('equal-mx.test')).length, 3)
  assert.deepEqual(await exchanges('no-tls.test'), ['no-tls.lab.test'])
  await assert.rejects(exchanges('no-mx.test'), { code: 'ENODATA' })
  assert.deepEqual(await dns.resolve4('no-mx.test'), [mx1])
  await assert.rejects(exchanges('nxdomain.test'), { code: 'ENOTFOUND' })
  await assert.rejects(exchanges('servfail.test'), { code: 'ESERVFAIL' })
  await assert.rejects(dns.resolve4('nowhere.lab.test'), { code: 'ENOTFOUND' })
  assert.ok(labDomains.every(({ domain }) => domain.endsWith('.test')))
})

test('hosts with a behaviour of their own show it to a real client', async () => {
  await using lab = await startLab()
  const opportunistic = { tls: { mode: 'required', servername: 'x.lab.test', verify: false } } as const
  const outcome = async (label: string, changes = {}): Promise<string> => {
    const connected = await connect(lab, hostAddress(label), changes)
    if (!connected.ok) return `${connected.failure.stage} ${connected.failure.code}`
    await connected.session.quit()
    return 'connected'
  }
  assert.equal(await outcome('dead'), 'connect ECONNREFUSED')
  assert.match(await outcome('closes'), /^greeting /)
  assert.equal(await outcome('greeting-421'), 'greeting 421')
  assert.equal(await outcome('greeting-521'), 'greeting 521')
  assert.equal(await outcome('greeting-554'), 'greeting 554')
  assert.equal(await outcome('no-tls', opportunistic), 'starttls STARTTLS_NOT_OFFERED')
  assert.match(await outcome('tls-broken', opportunistic), /^starttls |^tls /)
  assert.equal(await outcome('helo-only'), 'connected')
  assert.equal(await outcome('mx2', opportunistic), 'connected')
})

test('certificates: good hosts have one of the lab’s authority, bad ones have what they are named for', async () => {
  await using lab = await startLab()
  const verdict = async (label: string): Promise<string | null> => {
    const tls = {
      mode: 'required',
      servername: `${label}.lab.test`,
      verify: false,
      ca: lab.authorityPem,
    } as const
    const client = await session(lab, hostAddress(label), { tls })
    await client.quit()
    return client.facts.tls?.authorizationError ?? null
  }
  assert.equal(await verdict('mx1'), null)
  assert.match((await verdict('tls-bad-cert')) ?? '', /SELF_SIGNED/)
  assert.match((await verdict('tls-expired')) ?? '', /CERT_HAS_EXPIRED/)
  assert.match((await verdict('tls-wrong-name')) ?? '', /ALTNAME/)
})

test('a host that lacks a keyword neither announces it nor takes its parameter', async () => {
  await using lab = await startLab()
  for (const { label, behaviour } of labHosts.filter(one => (one.behaviour.withholds ?? []).length > 0)) {
    const client = dial(lab, hostAddress(label))
    await client.reply()
    const lines = (await client.talk('EHLO client.test'))
      .split('\r\n')
      .map(line => line.slice(4).split(' ')[0])
    for (const keyword of behaviour.withholds ?? [])
      assert.ok(!lines.includes(keyword), `${label} ${keyword}`)
    assert.ok(lines.includes('ENHANCEDSTATUSCODES'), label)
    client.destroy()
  }
  const client = dial(lab, hostAddress('no-8bitmime'))
  await client.reply()
  await client.talk('EHLO client.test')
  assert.match(await client.talk('MAIL FROM:<a@b.test> BODY=8BITMIME'), /^555 5\.5\.4/)
  client.destroy()
})

test('limits of hosts: one recipient, one message, small messages', async () => {
  await using lab = await startLab()
  const oneRcpt = await inTransaction(lab, { address: hostAddress('one-rcpt') })
  assert.equal(codes(await oneRcpt.talk('RCPT TO:<a@one-rcpt.test>')), '250 2.1.5')
  assert.equal(codes(await oneRcpt.talk('RCPT TO:<b@one-rcpt.test>')), '452 4.5.3')
  oneRcpt.destroy()
  const small = dial(lab, hostAddress('size-small'))
  await small.reply()
  assert.match(await small.talk('EHLO client.test'), /250.SIZE 10240\r\n/)
  assert.match(await small.talk('MAIL FROM:<a@b.test> SIZE=10241'), /^552 /)
  small.destroy()
  const oneMail = await inTransaction(lab, { address: hostAddress('one-mail') })
  await oneMail.talk('RSET')
  assert.match(await oneMail.talk('MAIL FROM:<a@b.test>'), /^421 /)
  oneMail.destroy()
})

test('behaviours can be set for a host, a domain or everybody, and undone, while the lab runs', async () => {
  await using lab = await startLab()
  const canConnect = async (address: string): Promise<boolean> => {
    const connected = await connect(lab, address)
    if (connected.ok) await connected.session.quit()
    return connected.ok
  }
  await lab.setBehaviour('*', { connect: 'refuse' })
  assert.deepEqual([await canConnect(mx1), await canConnect('127.77.0.2')], [false, false])
  await lab.setBehaviour('mx1.lab.test', null)
  assert.deepEqual([await canConnect(mx1), await canConnect('127.77.0.2')], [true, false])
  await lab.setBehaviour('*', null)
  assert.deepEqual([await canConnect('127.77.0.2'), await canConnect(hostAddress('dead'))], [true, false])
  await assert.rejects(lab.setBehaviour('example.org', {}), /no host, address or domain "example.org"/)
})

test('a domain for which a behaviour is set gets a host of its own', async () => {
  await using lab = await startLab()
  await lab.setBehaviour('Shop.test', { tls: 'none' })
  await lab.setBehaviour('shop.test', { connect: 'close' })
  const dns = new Resolver({ timeout: 5000 })
  dns.setServers([`127.0.0.1:${lab.dnsPort}`])
  const [mx] = await dns.resolveMx('shop.test')
  const [address = ''] = await dns.resolve4(mx?.exchange ?? '')
  assert.ok(lab.isLabAddress(address))
  assert.equal((await connect(lab, address)).ok, false)
  assert.deepEqual(await deliver(lab, 'a@other.test'), ['250', '354', '250'])
  assert.equal(lab.counters().get(mx?.exchange ?? '')?.connections, 1)
})

test('a connection that is open when its host dies is cut', async () => {
  await using lab = await startLab()
  const client = await inTransaction(lab)
  await lab.setBehaviour(mx1, { connect: 'refuse' })
  assert.equal(await client.replyOrNull(), null)
})

test('two labs run side by side, and a wanted port that is taken is an error', async () => {
  await using first = await startLab()
  await using second = await startLab()
  assert.notEqual(first.mxPort, second.mxPort)
  await assert.rejects(startLab({ mxPort: first.mxPort }), { code: 'EADDRINUSE' })
  await assert.rejects(startLab({ dnsPort: first.dnsPort }), { code: 'EADDRINUSE' })
})

test('where only 127.0.0.1 can be bound, one host stands for all, and says so when asked for another', async () => {
  await using lab = await startLab({ hosts: 'one' })
  const dns = new Resolver({ timeout: 5000 })
  dns.setServers([`127.0.0.1:${lab.dnsPort}`])
  for (const name of ['mx1.lab.test', 'no-tls.lab.test', 'no-mx.test'])
    assert.deepEqual(await dns.resolve4(name), ['127.0.0.1'])
  assert.deepEqual([lab.network, lab.isLabAddress('127.0.0.1')], ['127.0.0.1/32', true])
  assert.equal(lab.isLabAddress(mx1), false)
  assert.deepEqual(await deliver(lab, 'a@x.test', '127.0.0.1'), ['250', '354', '250'])
  assert.deepEqual(await deliver(lab, 'bounce@x.test', '127.0.0.1'), ['550'])
  await assert.rejects(lab.setBehaviour('shop.test', {}), /one host only: mx1\.lab\.test/)
})

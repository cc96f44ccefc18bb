import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { type DecodedPacket, decode, encode, type RecordType } from 'dns-packet'
import { type LabDns, startLabDns } from './index.ts'
import { ZoneBook } from './zone.ts'

const zone = {
  name: 'test',
  negativeTtlSeconds: 30,
  records: [
    { name: '*.test', type: 'A', data: '192.0.2.1' },
    { name: 'deep.inside.test', type: 'A', data: '192.0.2.2' },
    { name: 'alias.test', type: 'CNAME', data: 'Deep.inside.test' },
    ...Array.from({ length: 100 }, (_, i) => ({
      name: 'big.test',
      type: 'A' as const,
      data: `192.0.2.${i}`,
    })),
  ],
} as const

async function askUdp(lab: LabDns, name: string, type: RecordType): Promise<DecodedPacket> {
  const socket = createSocket('udp4')
  const query = encode({ type: 'query', id: 7, flags: 0x100, questions: [{ name, type }] })
  socket.send(query, lab.port, lab.address)
  const [bytes] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  return decode(bytes)
}

function rcodeOf(packet: DecodedPacket): number {
  return (packet.flags ?? 0) & 0xf
}

test('a wildcard answers for names that do not exist, directly below its owner only', () => {
  const zones = new ZoneBook([zone])
  assert.equal(zones.find('any.test', 'A').kind, 'records')
  assert.equal(zones.find('two.levels.test', 'A').kind, 'records')
  assert.equal(zones.find('any.test', 'MX').kind, 'nodata')
  assert.equal(zones.find('inside.test', 'A').kind, 'nodata', 'it exists, since something is below it')
  assert.equal(
    zones.find('other.inside.test', 'A').kind,
    'nxdomain',
    'inside.test is the closest, without wildcard',
  )
  assert.equal(zones.find('example.org', 'A').kind, 'outside')
})

test('the most specific zone answers', () => {
  const zones = new ZoneBook([zone, { name: 'sub.test', records: [] }])
  assert.equal(zones.find('x.sub.test', 'A').kind, 'nxdomain')
})

test('records change live and each question is counted', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setRecords('new.test', 'MX', [{ preference: 5, exchange: 'mx.test' }])
  const first = await askUdp(lab, 'NEW.test', 'MX')
  assert.deepEqual(
    first.answers?.map(one => 'data' in one && one.data),
    [{ preference: 5, exchange: 'mx.test' }],
  )
  lab.setRecords('new.test', 'MX', [])
  assert.equal((await askUdp(lab, 'new.test', 'MX')).answers?.length, 0)
  assert.equal(lab.countOf('new.test', 'MX'), 2)
  assert.equal(lab.counters.udp, 2)
})

test('negative answers carry the SOA, and names outside are refused', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const missing = await askUdp(lab, 'other.inside.test', 'A')
  assert.equal(rcodeOf(missing), 3)
  const soa = missing.authorities?.[0]
  assert.equal(soa?.type === 'SOA' && soa.data.minimum, 30)
  assert.equal(rcodeOf(await askUdp(lab, 'example.org', 'A')), 5)
})

test('an answer over 512 bytes without EDNS is cut with TC, and whole over TCP', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const cut = await askUdp(lab, 'big.test', 'A')
  assert.equal(cut.flag_tc, true)
  assert.equal(cut.answers?.length, 0)
  const query = encode({ type: 'query', id: 7, questions: [{ name: 'big.test', type: 'A' }] })
  const framed = Buffer.concat([Buffer.from([0, query.length]), query])
  const socket = connect(lab.port, lab.address)
  // The length comes apart from the rest: both ends must put streams together.
  socket.write(framed.subarray(0, 1))
  socket.write(framed.subarray(1))
  let bytes: Buffer = Buffer.alloc(0)
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer])
    if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) break
  }
  assert.equal(decode(bytes.subarray(2)).answers?.length, 100)
})

test('junk is not answered and does not stop the server', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const socket = createSocket('udp4')
  for (const junk of [Buffer.alloc(0), Buffer.alloc(5), Buffer.alloc(40, 0xff)]) {
    socket.send(junk, lab.port, lab.address)
  }
  assert.equal(rcodeOf(await askUdp(lab, 'any.test', 'A')), 0)
  socket.close()
})

test('ever new names do not fill the memory: the first hundred thousand are counted one by one', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const { byQuestion } = lab.counters
  for (let at = 0; at < 99_999; at++) byQuestion.set(`n${at}.test A`, 1)
  for (const name of ['known.test', 'new.test', 'known.test']) await askUdp(lab, name, 'A')
  assert.equal(byQuestion.size, 100_000)
  assert.deepEqual(
    ['known.test', 'new.test'].map(name => lab.countOf(name, 'A')),
    [2, 0],
  )
  assert.equal(lab.counters.udp, 3)
})

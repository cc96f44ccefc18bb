// Answers that somebody else made: other names, other ids, other questions, other letters, another sender.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { test } from 'node:test'
import { decode, encode } from 'dns-packet'
import { startLabDns } from '../../lab/dns/index.ts'
import { type DnsPorts, machinePorts } from './index.ts'
import { manualTimers, resolverFor, signal, zone } from './test-kit.ts'

test('records for other names in an answer are neither used nor remembered', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setFault('poison.test', {
    kind: 'reply',
    make: (_query, right) => {
      const packet = decode(right)
      const lie = { type: 'A', name: 'bank.test', ttl: 9999, data: '203.0.113.66' } as const
      const answers = [lie, { ...lie, name: 'poison.test', data: '192.0.2.50' }]
      const flags = (packet.flags ?? 0) & ~0xf
      return [encode({ ...packet, flags, answers, authorities: [], additionals: [lie] })]
    },
  })
  await using resolver = resolverFor(lab)
  const result = await resolver.query('poison.test', 'A', { signal })
  assert.deepEqual(result.kind === 'answer' && result.records, [{ address: '192.0.2.50' }])
  assert.equal(resolver.cached('bank.test', 'A'), undefined)
  assert.equal((await resolver.query('bank.test', 'A', { signal })).kind, 'nxdomain')
})

test('replies with another id or another question are ignored and the right one is taken', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setFault('example.test', {
    kind: 'reply',
    make: (query, right) => {
      const otherId = Buffer.from(right)
      otherId.writeUInt16BE((right.readUInt16BE(0) + 1) & 0xffff, 0)
      const packet = decode(right)
      const questions = [{ type: 'A' as const, name: 'other.test' }]
      const answers = [{ type: 'A' as const, name: 'example.test', ttl: 60, data: '203.0.113.66' }]
      return [otherId, encode({ ...packet, questions, answers }), query, Buffer.alloc(3), right]
    },
  })
  await using resolver = resolverFor(lab)
  const result = await resolver.query('example.test', 'A', { signal })
  assert.deepEqual(result.kind === 'answer' && result.records, [{ address: '192.0.2.1' }])
  assert.equal(lab.counters.tcp, 0)
})

/** A reply of twelve octets: our id, a code, and the claim to hold the question. */
function headerAlone(query: Buffer, rcode: number, questions: number): Buffer {
  const header = Buffer.alloc(12)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8180 | rcode, 2)
  header.writeUInt16BE(questions, 4)
  return header
}

for (const [code, rcode] of [
  ['NXDOMAIN', 3],
  ['NOERROR', 0],
] as const)
  for (const questions of [0, 1])
    test(`a header alone that says ${code} and claims ${questions} questions is no answer: the right one is waited for`, async () => {
      await using lab = await startLabDns({ zones: [zone] })
      const make = (query: Buffer, right: Buffer): Buffer[] => [headerAlone(query, rcode, questions), right]
      lab.setFault('example.test', { kind: 'reply', make })
      await using resolver = resolverFor(lab)
      const result = await resolver.query('example.test', 'A', { signal })
      assert.deepEqual(result.kind === 'answer' && result.records, [{ address: '192.0.2.1' }])
      assert.equal(lab.counters.tcp, 0)
    })

test('a header alone that refuses is believed: it speaks of the server, and nothing is concluded from it', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  for (const [name, questions] of [
    ['example.test', 0],
    ['null.test', 1],
  ] as const) {
    lab.setFault(name, { kind: 'reply', make: query => [headerAlone(query, 5, questions)] })
    await using resolver = resolverFor(lab)
    const result = await resolver.query(name, 'A', { signal })
    assert.equal(result.kind === 'failure' && result.code, 'REFUSED')
  }
})

test('a flood of wrong replies sends the question to TCP', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setFault('example.test', {
    kind: 'reply',
    make: (_query, right, overTcp) => {
      if (overTcp) return [right]
      const forged = Buffer.from(right)
      forged.writeUInt16BE((right.readUInt16BE(0) + 1) & 0xffff, 0)
      return new Array<Buffer>(40).fill(forged)
    },
  })
  await using resolver = resolverFor(lab)
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 1)
})

test('a datagram from another address is not seen', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const stranger = createSocket('udp4')
  const timers = manualTimers()
  let targetPort = 0
  const ports: DnsPorts = {
    ...timers.ports,
    openUdp: family => {
      const socket = machinePorts.openUdp(family)
      socket.once('connect', () => {
        targetPort = socket.address().port
      })
      return socket
    },
  }
  lab.setFault('example.test', {
    kind: 'reply',
    make: (_query, right) => {
      const packet = decode(right)
      const answers = [{ type: 'A' as const, name: 'example.test', ttl: 60, data: '203.0.113.66' }]
      // Two turns of the loop are enough for a datagram that the kernel has let in to be read.
      const afterwards = (): void => void setImmediate(() => setImmediate(timers.fire))
      stranger.send(encode({ ...packet, answers }), targetPort, '127.0.0.1', afterwards)
      return []
    },
  })
  await using resolver = resolverFor(lab, { ports, rounds: 1 })
  const result = await resolver.query('example.test', 'A', { signal })
  stranger.close()
  assert.equal(result.kind === 'failure' && result.code, 'TIMEOUT')
})

test('a server that keeps letter case is held to it: a reply in other letters is ignored', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  await resolver.query('example.test', 'A', { signal })
  lab.setFault('null.test', {
    kind: 'reply',
    make: (_query, right) => {
      const packet = decode(right)
      const questions = [{ type: 'MX' as const, name: 'null.test' }]
      const data = { preference: 1, exchange: 'evil.test' }
      const answers = [{ type: 'MX' as const, name: 'null.test', ttl: 60, data }]
      return [encode({ ...packet, questions, answers }), right]
    },
  })
  const result = await resolver.query('null.test', 'MX', { signal })
  assert.deepEqual(result.kind === 'answer' && result.records, [{ preference: 0, exchange: '' }])
})

test('a server that does not keep letter case is found out by TCP once and then asked plainly', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  for (const name of ['example.test', 'null.test']) lab.setFault(name, { kind: 'lower-case' })
  await using resolver = resolverFor(lab)
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 1)
  assert.equal((await resolver.query('null.test', 'MX', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 1)
})

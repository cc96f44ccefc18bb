import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from 'dns-packet'
import fc from 'fast-check'
import { startLabDns } from '../../lab/dns/index.ts'
import { readAnswer } from './answer.ts'
import { type DnsType, machinePorts, Resolver } from './index.ts'
import { type DnsQuestion, encodeQuery, readReply } from './message.ts'

const question: DnsQuestion = { id: 0x1234, name: 'example.test', type: 'MX' }

const good = encode({
  type: 'response',
  id: question.id,
  flags: 0x180,
  questions: [{ type: 'MX', name: 'example.test' }],
  answers: [
    { type: 'CNAME', name: 'example.test', ttl: 60, data: 'other.test' },
    { type: 'MX', name: 'other.test', ttl: 60, data: { preference: 10, exchange: 'mx.test' } },
    { type: 'TXT', name: 'other.test', ttl: 60, data: ['abc'] },
    { type: 'A', name: 'other.test', ttl: 60, data: '192.0.2.1' },
  ],
  authorities: [
    {
      type: 'SOA',
      name: 'test',
      ttl: 60,
      data: { mname: 'ns.test', rname: 'root.test', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 1 },
    },
  ],
})

/** The whole way from bytes to a reading: must end in a value whatever the bytes. */
function readAll(bytes: Buffer, type: DnsType): string {
  const received = readReply(bytes, { ...question, type })
  return received.kind === 'reply' ? readAnswer(received.reply, 'example.test', type).kind : received.kind
}

test('the good message of this file is read, so that its mutations test something', () => {
  assert.equal(readAll(good, 'MX'), 'records')
})

test('no bytes make the reader throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), bytes => {
      const made = Buffer.from(bytes)
      if (made.length >= 4) {
        made.writeUInt16BE(question.id, 0)
        made[2] = made[2]! | 0x80
      }
      readAll(made, 'MX')
    }),
    { numRuns: 3000 },
  )
})

test('no change of a good message makes the reader throw', () => {
  const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255) })
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 6 }),
      fc.nat(good.length),
      fc.constantFrom<DnsType>('MX', 'A', 'TXT', 'CNAME', 'AAAA', 'TLSA'),
      (changes, lengthBytes, type) => {
        const bytes = Buffer.from(good)
        for (const { at, byte } of changes) bytes[at] = byte
        readAll(bytes, type)
        readAll(bytes.subarray(0, lengthBytes), type)
      },
    ),
    { numRuns: 3000 },
  )
})

test('a message that claims tens of thousands of records is refused before it is decoded', () => {
  const bytes = Buffer.from(good)
  bytes.writeUInt16BE(0xffff, 6)
  assert.deepEqual(readReply(bytes, question), { kind: 'malformed', why: 'it claims 65536 records' })
})

test('random bytes as an answer on the wire end in a value, and the resolver goes on working', async () => {
  const signal = new AbortController().signal
  await using lab = await startLabDns({ zones: [{ name: 'test', records: [] }] })
  lab.setRecords('fine.test', 'A', ['192.0.2.1'])
  const ports = { ...machinePorts }
  const server = { address: lab.address, port: lab.port }
  await using resolver = new Resolver({
    servers: [server],
    ports,
    attemptTimeoutMs: 600_000,
    failureTtlMs: 0,
  })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, hasOurId) => {
      lab.setFault('junk.test', {
        kind: 'reply',
        make: (query, right) => {
          const junk = Buffer.from(bytes)
          if (hasOurId && junk.length >= 2) query.copy(junk, 0, 0, 2)
          return [junk, right]
        },
      })
      const result = await resolver.query('junk.test', 'A', { signal })
      assert.ok(result.kind === 'nxdomain' || result.kind === 'failure')
      resolver.clear()
    }),
    { numRuns: 100 },
  )
  assert.equal((await resolver.query('fine.test', 'A', { signal })).kind, 'answer')
})

test('an answer about the root is taken for one', () => {
  const root: DnsQuestion = { id: 7, name: '', type: 'MX' }
  const echoed = encodeQuery(root, { hasEdns: false, isDnssecAsked: false })
  echoed[2] = echoed[2]! | 0x80
  const received = readReply(echoed, root)
  assert.ok(received.kind === 'reply')
  assert.equal(received.reply.hasSameCase, true)
})

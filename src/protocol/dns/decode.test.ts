import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, decode, encode } from 'dns-packet'
import fc from 'fast-check'
import { decodeMessage } from './decode.ts'

const label = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/)
/** Of few labels, so that names share endings and are compressed by those who compress. */
const name = fc.array(fc.constantFrom('a', 'mx', 'Example', 'test', 'x'.repeat(63)), {
  minLength: 1,
  maxLength: 3,
})
const named = fc.tuple(label, name).map(([first, rest]) => [first, ...rest].join('.'))
const address = fc.ipV4()
const record: fc.Arbitrary<Answer> = fc.oneof(
  fc.record({ type: fc.constant('A' as const), name: named, ttl: fc.nat(2 ** 31), data: address }),
  fc.record({ type: fc.constantFrom('NS', 'CNAME', 'PTR'), name: named, ttl: fc.nat(99), data: named }),
  fc.record({
    type: fc.constant('MX' as const),
    name: named,
    ttl: fc.nat(99),
    data: fc.record({ preference: fc.nat(65_535), exchange: named }),
  }),
  fc.record({
    type: fc.constant('TLSA' as const),
    name: named,
    ttl: fc.nat(99),
    data: fc.record({
      usage: fc.nat(255),
      selector: fc.nat(255),
      matchingType: fc.nat(255),
      certificate: fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes)),
    }),
  }),
) as fc.Arbitrary<Answer>

/** What both must agree on. */
const shown = (answers: readonly Answer[] | undefined): unknown[] =>
  (answers ?? []).map(one => {
    const { type, name: owner, ttl, class: group, data } = one as Extract<Answer, { type: 'A' }>
    return { type, owner, ttl, group, data }
  })

test('records are read as another decoder reads them', () => {
  fc.assert(
    fc.property(
      named,
      fc.array(record, { maxLength: 20 }),
      fc.array(record, { maxLength: 3 }),
      (asked, answers, more) => {
        const questions = [{ type: 'MX' as const, name: asked }]
        const bytes = encode({ type: 'response', id: 1, questions, answers, authorities: more })
        const [ours, theirs] = [decodeMessage(bytes), decode(bytes)]
        assert.deepEqual(shown(ours.answers), shown(theirs.answers))
        assert.deepEqual(shown(ours.authorities), shown(theirs.authorities))
        assert.deepEqual(ours.questions, [{ name: asked, type: 15, isInternet: true }])
      },
    ),
    { numRuns: 500 },
  )
})

test('an IPv6 address is written in its one short form', () => {
  for (const [long, short] of [
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['64:ff9b:0:0:0:0:a00:1', '64:ff9b::a00:1'],
  ]) {
    const answers = [{ type: 'AAAA', name: 'a.test', data: long! }] as const
    const message = decodeMessage(encode({ type: 'response', answers: [...answers] }))
    assert.deepEqual(
      shown(message.answers).map(one => (one as { data: string }).data),
      [short],
    )
  }
})

test('the strings of a text are one, the end of an SOA is its minimum, an OPT record has the upper bits of the code', () => {
  const soa = { mname: 'ns.test', rname: 'root.test', serial: 1, refresh: 2, retry: 3, expire: 4, minimum: 5 }
  const bytes = encode({
    type: 'response',
    answers: [{ type: 'TXT', name: 'a.test', data: ['v=x', ' y', ''] }],
    authorities: [{ type: 'SOA', name: 'test', data: soa }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 512,
        extendedRcode: 3,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  })
  const { answers, authorities, extendedRcode } = decodeMessage(bytes)
  assert.equal(String((answers[0] as { data: Buffer[] }).data[0]), 'v=x y')
  assert.deepEqual((authorities[0] as unknown as { data: object }).data, { minimum: 5 })
  assert.equal(extendedRcode, 3)
})

test('what is no mail matter is left out, and what follows it is read', () => {
  const answers: Answer[] = [
    { type: 'NSEC', name: 'a.test', data: { nextDomain: 'b.test', rrtypes: ['A', 'MX'] } },
    { type: 'A', name: 'a.test', ttl: 1, data: '192.0.2.1' },
  ]
  const message = decodeMessage(encode({ type: 'response', answers }))
  assert.deepEqual(
    message.answers.map(({ type }) => type),
    ['A'],
  )
})

/** An answer with one name after so many pointers in a row. */
function pointerChain(pointers: number): Buffer {
  // The links lie in the data of a record that nobody reads: a label, then pointers each to the one before.
  const dataAt = 12 + 11
  const links = Array.from({ length: pointers - 1 }, (_, i) => {
    const to = i === 0 ? dataAt : dataAt + 3 + (i - 1) * 2
    return [0xc0 | (to >> 8), to & 0xff]
  })
  const data = [1, 0x61, 0, ...links.flat()]
  const last = dataAt + data.length - 2
  const skipped = [0, 0, 99, 0, 1, 0, 0, 0, 0, data.length >> 8, data.length & 0xff, ...data]
  const asked = [0xc0 | (last >> 8), last & 0xff, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]
  return Buffer.concat([header(2), Buffer.from([...skipped, ...asked])])
}

test('a name has at most as many pointers as it may have labels', () => {
  assert.equal(decodeMessage(pointerChain(127)).answers[0]?.name, 'a')
  assert.throws(() => decodeMessage(pointerChain(128)), /more pointers than labels/)
})

const header = (answers: number): Buffer => Buffer.from([0, 1, 0x80, 0, 0, 0, 0, answers, 0, 0, 0, 0])
for (const [what, octets] of [
  ['a name that points to itself', [0xc0, 12]],
  ['a name that points ahead', [0xc0, 40]],
  ['a label of an unknown kind', [0x80, 0]],
  ['a name without an end', [1, 0x61]],
  ['a record that is longer than the message', [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2]],
  ['an address of three octets', [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 3, 1, 2, 3]],
  ['a string that is longer than its record', [0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 9, 1]],
  ['a name of 254 octets', [...Array.from({ length: 127 }, () => [1, 0x61]).flat(), 1, 0x61, 0, 0, 1, 0, 1]],
] as const)
  test(`${what} is an error`, () => {
    assert.throws(() => decodeMessage(Buffer.concat([header(1), Buffer.from(octets)])))
  })

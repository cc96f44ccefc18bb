// Negative answers, and of whom they are believed: of servers that know something above, found out by few questions.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, encode } from 'dns-packet'
import { type LabDns, type LabDnsFault, type LabRecord, startLabDns } from '../../lab/dns/index.ts'
import { machinePorts, Resolver } from '../../protocol/dns/index.ts'
import { createAddressGuard, Planner, type PlannerOptions, type PlanResult } from './index.ts'
import { mx } from './test-kit.ts'

const signal = new AbortController().signal

interface Setup extends AsyncDisposable {
  readonly lab: LabDns
  readonly told: string[]
  plan(domain: string): Promise<PlanResult>
}

interface SetupOptions extends Partial<PlannerOptions> {
  readonly records?: readonly LabRecord[]
  /** The root answers as well, as on the internet. */
  readonly hasRoot?: boolean
}

async function setUp(options: SetupOptions = {}): Promise<Setup> {
  const { records = [], hasRoot = false, ...more } = options
  const example: readonly LabRecord[] = [
    { name: 'inside.example', type: 'A', data: '10.0.0.1' },
    { name: 'bare.example', type: 'TXT', data: 'no mail here' },
    mx('broken.example', 5, 'gone.example'),
  ]
  const lab = await startLabDns({
    zones: [
      { name: 'example', records: [...example, ...records] },
      ...(hasRoot ? [{ name: '', records: [] }] : []),
    ],
  })
  const resolver = new Resolver({
    servers: [{ address: lab.address, port: lab.port }],
    ports: machinePorts,
    // Far longer than any test: what is silent stays it.
    attemptTimeoutMs: 600_000,
  })
  const told: string[] = []
  const planner = new Planner({
    resolver,
    monotonicMs: () => performance.now(),
    random: () => 0,
    port: 25,
    isOwnAddress: () => false,
    guard: createAddressGuard([]),
    onUnbelievable: text => void told.push(text),
    ...more,
  })
  return {
    lab,
    told,
    plan: domain => planner.plan(domain, { signal }),
    async [Symbol.asyncDispose]() {
      await resolver[Symbol.asyncDispose]()
      await lab.close()
    },
  }
}

/** Questions for name servers that the lab has seen. */
function questionsOf({ lab }: Setup): number {
  let count = 0
  for (const [question, times] of lab.counters.byQuestion) if (question.endsWith(' NS')) count += times
  return count
}

/** A domain of a stranger: fifty hosts with 120 labels and no address, and nobody answers for their name servers. */
const deep = (host: number): string => `${'a.'.repeat(112)}h${host}.evil.example`
const evil: readonly LabRecord[] = Array.from({ length: 50 }, (_, host) => mx('evil.example', 5, deep(host)))
const silent: LabDnsFault = { kind: 'drop' }
const right: LabDnsFault = { kind: 'reply', make: (_query, answer) => [answer] }

const codeOf = (result: PlanResult): string =>
  result.kind === 'failure' ? `${result.reason} ${result.code} ${result.enhancedCode}` : 'a plan'

test('what does not exist bounces when the servers know the zone above, however deep', async () => {
  await using s = await setUp()
  assert.equal(codeOf(await s.plan('nosuch.example')), 'nxdomain 550 5.1.2')
  assert.equal(codeOf(await s.plan('a.b.c.nosuch.example')), 'nxdomain 550 5.1.2')
  assert.equal(codeOf(await s.plan('bare.example')), 'no-records 550 5.1.2')
  assert.equal(codeOf(await s.plan('broken.example')), 'no-address 550 5.4.4')
  assert.equal(codeOf(await s.plan('inside.example')), 'private-address 550 5.4.4')
  assert.deepEqual(s.told, [])
})

for (const kind of ['nxdomain', 'empty'] as const)
  test(`servers that answer everything with ${kind === 'empty' ? 'nothing' : 'NXDOMAIN'} bounce no mail`, async () => {
    await using s = await setUp()
    s.lab.setFault('*', { kind })
    const result = await s.plan('well.example')
    assert.equal(codeOf(result), 'dns-failure 451 4.4.3')
    assert.match(
      result.kind === 'failure' ? result.text : '',
      /well\.example .*not believed; look at \[dns\] servers/,
    )
    assert.equal(s.told.length, 1)
  })

test('a captive portal, which gives every name an address of its own and knows nothing else, bounces no mail', async () => {
  await using s = await setUp()
  s.lab.setFault('*', { kind: 'empty' })
  s.lab.setFault(
    '*',
    {
      kind: 'reply',
      make: query => {
        const { id, questions } = decode(query)
        const answers = questions!.map(({ name }) => ({ type: 'A' as const, name, data: '10.0.0.1', ttl: 1 }))
        return [encode({ type: 'response', id: id!, questions: questions!, answers })]
      },
    },
    'A',
  )
  assert.equal(codeOf(await s.plan('well.example')), 'dns-failure 451 4.4.3')
})

test('servers that begin to lie in the middle of a domain bounce no mail', async () => {
  await using s = await setUp()
  for (const name of ['gone.example', 'example', '']) s.lab.setFault(name, { kind: 'nxdomain' })
  assert.equal(codeOf(await s.plan('broken.example')), 'dns-failure 451 4.4.3')
})

test('where the root is told, it vouches for everything: one question, however many, deep and silent the names are', async () => {
  await using s = await setUp({ records: evil, hasRoot: true })
  s.lab.setFault('*', silent, 'NS')
  s.lab.setFault('', right, 'NS')
  assert.equal(codeOf(await s.plan('evil.example')), 'no-address 550 5.4.4')
  assert.equal(questionsOf(s), 1)
  assert.equal(codeOf(await s.plan('nosuch.example')), 'nxdomain 550 5.1.2')
  assert.equal(codeOf(await s.plan('nosuch')), 'nxdomain 550 5.1.2')
  assert.equal(questionsOf(s), 1, 'all share it')
})

test('where it is not, the upper names are asked at once, and one that is silent does not keep the answer of another', async () => {
  await using s = await setUp({ records: evil })
  s.lab.setFault('*', silent, 'NS')
  for (const name of ['', 'example']) s.lab.setFault(name, right, 'NS')
  assert.equal(codeOf(await s.plan('evil.example')), 'no-address 550 5.4.4')
  assert.ok(questionsOf(s) <= 16, `${questionsOf(s)} questions`)
  assert.equal(s.lab.countOf('example', 'NS'), 1)
})

test('what is silent all the way up is given up in time, by few questions, and bounces no mail', async () => {
  for (const root of [silent, { kind: 'refuse' }, { kind: 'nxdomain' }, { kind: 'empty' }] as const) {
    await using s = await setUp({ records: evil, hasRoot: true, beliefTimeoutMs: 50 })
    s.lab.setFault('*', silent, 'NS')
    s.lab.setFault('', root, 'NS')
    const result = await s.plan('evil.example')
    assert.equal(codeOf(result), 'dns-failure 451 4.4.3', root.kind)
    assert.match(s.told.join(), /looking up NS of .*: .*not believed; look at \[dns\] servers/)
    assert.ok(questionsOf(s) <= 16, `${questionsOf(s)} questions`)
  }
})

test('a root that exists and tells no name servers is a lie', async () => {
  await using s = await setUp({ hasRoot: true })
  s.lab.setFault('*', { kind: 'nxdomain' })
  s.lab.setFault('', { kind: 'empty' }, 'NS')
  assert.equal(codeOf(await s.plan('well.example')), 'dns-failure 451 4.4.3')
})

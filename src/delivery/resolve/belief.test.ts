import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, encode } from 'dns-packet'
import { type LabDns, startLabDns } from '../../lab/dns/index.ts'
import { machinePorts, Resolver } from '../../protocol/dns/index.ts'
import { createAddressGuard, Planner, type PlanResult } from './index.ts'

const signal = new AbortController().signal

interface Setup extends AsyncDisposable {
  readonly lab: LabDns
  readonly told: string[]
  plan(domain: string): Promise<PlanResult>
}

async function setUp(): Promise<Setup> {
  const lab = await startLabDns({
    zones: [
      {
        name: 'example',
        records: [
          { name: 'inside.example', type: 'A', data: '10.0.0.1' },
          { name: 'bare.example', type: 'TXT', data: 'no mail here' },
          { name: 'broken.example', type: 'MX', data: { preference: 5, exchange: 'gone.example' } },
        ],
      },
    ],
  })
  const resolver = new Resolver({ servers: [{ address: lab.address, port: lab.port }], ports: machinePorts })
  const told: string[] = []
  const planner = new Planner({
    resolver,
    monotonicMs: () => performance.now(),
    random: () => 0,
    port: 25,
    isOwnAddress: () => false,
    guard: createAddressGuard([]),
    onUnbelievable: text => void told.push(text),
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

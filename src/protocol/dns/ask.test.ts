// What is found out about a server: whether it takes EDNS and keeps letter case, and for how long that is believed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LabDns, type LabZone, startLabDns } from '../../lab/dns/index.ts'
import { type DnsPorts, machinePorts, Resolver } from './index.ts'

const zone: LabZone = {
  name: 'test',
  records: [
    { name: 'example.test', type: 'A', data: '192.0.2.1' },
    { name: 'null.test', type: 'MX', data: { preference: 0, exchange: '.' } },
  ],
}

const signal = new AbortController().signal

/** Letters that are mixed at random may come out as they were; here all become capitals. */
const randomInt = (limit: number): number => (limit === 2 ? 1 : machinePorts.randomInt(limit))

/** A resolver whose waits end only when the test says so. */
function resolverFor({ address, port }: LabDns, ports: Partial<DnsPorts>): Resolver {
  const servers = [{ address, port }]
  return new Resolver({
    servers,
    ports: { ...machinePorts, randomInt, ...ports },
    attemptTimeoutMs: 600_000,
    rounds: 1,
  })
}

/** The numbers of additional records in the queries seen: 1 with EDNS, else 0. */
function ednsSeen(
  lab: LabDns,
  name: string,
  answers: (query: Buffer, right: Buffer) => readonly Buffer[],
): number[] {
  const seen: number[] = []
  lab.setFault(name, {
    kind: 'reply',
    make: (query, right) => {
      seen.push(query.readUInt16BE(10))
      return answers(query, right)
    },
  })
  return seen
}

function formatError(query: Buffer): Buffer {
  const header = Buffer.concat([query.subarray(0, 4), Buffer.alloc(8)])
  header.writeUInt16BE(0x8001, 2)
  return header
}

test('a server that refuses EDNS and then is silent is asked with EDNS again', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  let expire = (): void => {}
  const setTimer = (_: number, run: () => void): (() => void) => {
    expire = run
    return () => {}
  }
  await using resolver = resolverFor(lab, { setTimer })
  const first = ednsSeen(lab, 'example.test', query => {
    if (query.readUInt16BE(10) === 1) return [formatError(query)]
    expire()
    return []
  })
  const result = await resolver.query('example.test', 'A', { signal })
  assert.equal(result.kind === 'failure' && result.code, 'TIMEOUT')
  assert.deepEqual(first, [1, 0])
  const second = ednsSeen(lab, 'null.test', (_, right) => [right])
  assert.equal((await resolver.query('null.test', 'MX', { signal })).kind, 'answer')
  assert.deepEqual(second, [1])
})

test('what a server was found to do is looked at again after ten minutes', async () => {
  for (const kind of ['no-edns', 'lower-case'] as const) {
    await using lab = await startLabDns({ zones: [zone] })
    const clock = { nowMs: 1000 }
    await using resolver = resolverFor(lab, { monotonicMs: () => clock.nowMs })
    lab.setFault('example.test', { kind })
    assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
    const asked: string[] = []
    const note = (query: Buffer, right: Buffer): Buffer[] => {
      const isMixed = query.toString('latin1', 13, 17) !== 'null'
      asked.push(`${query.readUInt16BE(10) === 1 ? 'edns' : 'plain'}${isMixed ? ' mixed' : ''}`)
      return [right]
    }
    lab.setFault('null.test', { kind: 'reply', make: note })
    const types = ['MX', 'A', 'AAAA', 'NS', 'TXT', 'TLSA'] as const
    for (const waitMs of [599_000, 2_000]) {
      clock.nowMs += waitMs
      resolver.clear()
      for (const type of types) await resolver.query('null.test', type, { signal })
    }
    const [before, after] = [asked.slice(0, types.length), asked.slice(types.length)]
    const isStill = (one: string): boolean =>
      kind === 'no-edns' ? one.startsWith('plain') : !one.endsWith('mixed')
    assert.ok(before.every(isStill), `${kind}: ${before}`)
    assert.ok(!after.every(isStill), `${kind}: ${after}`)
  }
})

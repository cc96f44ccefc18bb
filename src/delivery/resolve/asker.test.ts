// On whose behalf the questions of a plan are asked.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DnsResolver, DnsResult } from '../../protocol/dns/index.ts'
import { Planner } from './planner.ts'

test('every question of a plan is of the one who asked for it', async () => {
  const askers: string[] = []
  const mx = ['mx1.b.test', 'mx2.b.test'].map(exchange => ({ preference: 10, exchange }))
  const life = { ttlMs: 60_000, isAuthenticated: false }
  const answers: Record<string, object> = {
    MX: { kind: 'answer', records: mx, canonicalName: 'b.test', ...life },
    NS: { kind: 'answer', records: [{ target: 'ns.b.test' }], canonicalName: 'b.test', ...life },
  }
  const resolver: DnsResolver = {
    query: async (name, type, { asker }) => {
      askers.push(`${type} ${name} ${asker}`)
      return (answers[type] ?? { kind: 'nodata', ...life }) as DnsResult<typeof type>
    },
    cached: () => undefined,
  }
  const planner = new Planner({
    resolver,
    monotonicMs: () => 0,
    random: () => 0,
    port: 25,
    isOwnAddress: () => false,
    guard: { isRefused: () => false },
  })
  const result = await planner.plan('b.test', { signal: new AbortController().signal, asker: 7 })
  assert.equal(result.kind, 'failure')
  assert.deepEqual(
    new Set(askers),
    new Set([
      'MX b.test 7',
      ...['mx1', 'mx2'].flatMap(name => ['A', 'AAAA'].map(type => `${type} ${name}.b.test 7`)),
      'NS . 7',
    ]),
  )
})

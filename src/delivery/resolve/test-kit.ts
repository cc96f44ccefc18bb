// For the tests of the planner: a lab with given records, a clock that stands still, and plans in short form.

import assert from 'node:assert/strict'
import { type LabDns, type LabRecord, startLabDns } from '../../lab/dns/index.ts'
import { type DnsPorts, machinePorts, Resolver } from '../../protocol/dns/index.ts'
import { createAddressGuard, Planner, type PlannerOptions, type PlanResult } from './index.ts'

export const signal: AbortSignal = new AbortController().signal

export function mx(name: string, preference: number, exchange: string, ttlSeconds = 300): LabRecord {
  return { name, type: 'MX', data: { preference, exchange }, ttlSeconds }
}

export function a(name: string, data: string): LabRecord {
  return { name, type: 'A', data }
}

/** A small generator with a seed, so that a share never fails by bad luck. */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

export interface Setup extends AsyncDisposable {
  readonly lab: LabDns
  readonly resolver: Resolver
  readonly planner: Planner
  readonly clock: { nowMs: number }
}

export async function setUp(
  records: readonly LabRecord[],
  options: Partial<PlannerOptions> = {},
): Promise<Setup> {
  const lab = await startLabDns({
    zones: [{ name: 'test', records, negativeTtlSeconds: 40, isSigned: true }],
  })
  const clock = { nowMs: 0 }
  const ports: DnsPorts = { ...machinePorts, monotonicMs: () => clock.nowMs }
  const server = { address: lab.address, port: lab.port, isTrusted: true }
  const resolver = new Resolver({ servers: [server], ports, attemptTimeoutMs: 600_000 })
  const planner = new Planner({
    resolver,
    monotonicMs: ports.monotonicMs,
    random: seededRandom(1),
    port: 25,
    isOwnAddress: () => false,
    guard: createAddressGuard([]),
    ...options,
  })
  const dispose = async (): Promise<void> => {
    await resolver[Symbol.asyncDispose]()
    await lab.close()
  }
  return { lab, resolver, planner, clock, [Symbol.asyncDispose]: dispose }
}

export function names(result: PlanResult): string[] {
  assert.ok(result.kind === 'plan', result.kind === 'failure' ? result.text : '')
  return result.hosts.map(host => host.name)
}

export function failure(result: PlanResult): string {
  assert.ok(result.kind === 'failure')
  const scope = result.reason.startsWith('smarthost-') ? 'configuration' : 'domain'
  assert.deepEqual([result.stage, result.scope], ['resolve', scope])
  assert.equal(result.isPermanent, result.enhancedCode.startsWith('5'))
  return `${result.reason} ${result.code} ${result.enhancedCode}`
}

// For the tests of the resolver: a lab with one zone, a clock that moves and timers that go off when told, a resolver.

import type { LabDns, LabZone } from '../../lab/dns/index.ts'
import { type DnsOptions, type DnsPorts, machinePorts, Resolver } from './index.ts'

export const zone: LabZone = {
  name: 'test',
  negativeTtlSeconds: 30,
  records: [
    { name: 'example.test', type: 'MX', data: { preference: 10, exchange: 'MX1.example.test' } },
    { name: 'example.test', type: 'MX', data: { preference: 20, exchange: 'mx2.example.test' } },
    { name: 'example.test', type: 'A', data: '192.0.2.1', ttlSeconds: 600 },
    { name: 'example.test', type: 'AAAA', data: '2001:db8::1' },
    { name: 'example.test', type: 'TXT', data: 'v=spf1 -all' },
    { name: 'long.test', type: 'TXT', data: 'x'.repeat(700) },
    { name: 'null.test', type: 'MX', data: { preference: 0, exchange: '.' } },
    { name: 'alias.test', type: 'CNAME', data: 'example.test', ttlSeconds: 20 },
    { name: 'circle1.test', type: 'CNAME', data: 'circle2.test' },
    { name: 'circle2.test', type: 'CNAME', data: 'circle1.test' },
    { name: 'dangling.test', type: 'CNAME', data: 'nowhere.test' },
    { name: '1.2.0.192.in-addr.arpa.test', type: 'PTR', data: 'host.example.test' },
    {
      name: '_25._tcp.mx1.example.test',
      type: 'TLSA',
      data: { usage: 3, selector: 1, matchingType: 1, certificate: Buffer.alloc(32, 7) },
    },
    ...Array.from({ length: 12 }, (_, i) => ({
      name: `c${i}.test`,
      type: 'CNAME' as const,
      data: `c${i + 1}.test`,
    })),
    { name: 'c12.test', type: 'A', data: '192.0.2.12' },
    ...Array.from({ length: 120 }, (_, i) => ({
      name: 'big.test',
      type: 'A' as const,
      data: `198.51.100.${i}`,
    })),
  ],
}

export const signal: AbortSignal = new AbortController().signal

export interface MovableClock {
  nowMs: number
  readonly ports: DnsPorts
}

export function movableClock(): MovableClock {
  const clock = { nowMs: 1000, ports: { ...machinePorts, monotonicMs: () => clock.nowMs } }
  return clock
}

/** Timers that go off when the test says so. */
export function manualTimers(): { readonly ports: DnsPorts; fire(): void; expire(): Buffer[] } {
  const pending = new Set<() => void>()
  const setTimer = (_delayMs: number, run: () => void): (() => void) => {
    pending.add(run)
    return () => pending.delete(run)
  }
  const fire = (): void => {
    for (const run of [...pending]) run()
  }
  /** For a server that stays silent: the wait is over as soon as it has seen the query. */
  const expire = (): Buffer[] => {
    fire()
    return []
  }
  return { ports: { ...machinePorts, setTimer }, fire, expire }
}

export function resolverFor(lab: LabDns | readonly LabDns[], options: Partial<DnsOptions> = {}): Resolver {
  const labs = Array.isArray(lab) ? (lab as readonly LabDns[]) : [lab as LabDns]
  return new Resolver({
    servers: labs.map(({ address, port }) => ({ address, port })),
    ports: machinePorts,
    // Far longer than any test: only what a test does on purpose ends a wait.
    attemptTimeoutMs: 600_000,
    ...options,
  })
}

export function ttlOf(result: { readonly ttlMs: number }): number {
  return result.ttlMs
}

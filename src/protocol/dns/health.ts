// What is known of each server: how fast it answers, whether it fails, what it can do.
//
// | state     | when                                | place in the order                                  |
// |-----------|-------------------------------------|-----------------------------------------------------|
// | healthy   | fewer than 2 failures in a row      | as configured; after the others if far slower       |
// | resting   | from the 2nd failure, 1 s to 60 s   | last, the one whose rest ends first before others    |
// | probing   | rest is over                        | as configured, for one query at a time              |
//
// A failure is a timeout, a socket error or nonsense; SERVFAIL and REFUSED speak of the name, not the server.

import type { DnsServer } from './types.ts'

const failuresToRest = 2
const restMsFirst = 1000
const restMsMax = 60_000
/** One probing query has this long before another may try too. */
const probeMs = 2000
/** RFC 6298 §2 smoothing. */
const latencyWeight = 1 / 8
/** A server is "far slower" over four times the best and this on top. */
const slowMarginMs = 50
/** Who is passed over slowly looks better, so that it gets asked again one day. */
const passedOverFactor = 0.98

/** One server and its record. */
export interface ServerState {
  readonly server: DnsServer
  /** `address:port`, for texts. */
  readonly label: string
  /** Smoothed time to answer; null before the first answer. */
  latencyMs: number | null
  /** Failures in a row. */
  failures: number
  failedAtMs: number
  restsUntilMs: number
  /** Whether it echoes letter case: needed for the 0x20 check. */
  readonly keepsCase: Verdict
  /** Whether it takes EDNS; it is asked with EDNS until it said no. */
  readonly hasEdns: Verdict
}

/** How long a verdict about a server is believed: behind one address another program may answer one day. */
const verdictMs = 600_000

/** What we found out about a server, for a while. */
export class Verdict {
  readonly #monotonicMs: () => number
  #value: 'unknown' | 'yes' | 'no' = 'unknown'
  #untilMs = 0

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  get value(): 'unknown' | 'yes' | 'no' {
    if (this.#value !== 'unknown' && this.#monotonicMs() >= this.#untilMs) this.#value = 'unknown'
    return this.#value
  }

  set(value: boolean): void {
    this.#value = value ? 'yes' : 'no'
    this.#untilMs = this.#monotonicMs() + verdictMs
  }
}

/** The servers of one resolver. */
export class ServerList {
  readonly #states: readonly ServerState[]
  readonly #monotonicMs: () => number
  readonly #onChange: (server: string, isUp: boolean) => void

  /** @param onChange told when a server begins to rest, and when it answers again */
  constructor(
    servers: readonly DnsServer[],
    monotonicMs: () => number,
    onChange: (server: string, isUp: boolean) => void = () => {},
  ) {
    this.#onChange = onChange
    this.#monotonicMs = monotonicMs
    this.#states = servers.map(server => ({
      server,
      label: labelOf(server),
      latencyMs: null,
      failures: 0,
      failedAtMs: Number.NEGATIVE_INFINITY,
      restsUntilMs: Number.NEGATIVE_INFINITY,
      keepsCase: new Verdict(monotonicMs),
      hasEdns: new Verdict(monotonicMs),
    }))
  }

  get states(): readonly ServerState[] {
    return this.#states
  }

  /** Everybody, in the order to ask for the next query. */
  order(): ServerState[] {
    const now = this.#monotonicMs()
    const awake = this.#states.filter(state => state.restsUntilMs <= now)
    const resting = this.#states.filter(state => state.restsUntilMs > now)
    resting.sort((a, b) => a.restsUntilMs - b.restsUntilMs)
    for (const state of awake) {
      if (state.failures >= failuresToRest) state.restsUntilMs = now + probeMs
    }
    let bestMs = Number.POSITIVE_INFINITY
    for (const state of awake) if (state.latencyMs !== null) bestMs = Math.min(bestMs, state.latencyMs)
    const limitMs = bestMs * 4 + slowMarginMs
    const slow = awake.filter(state => state.latencyMs !== null && state.latencyMs > limitMs)
    for (const state of slow) state.latencyMs = state.latencyMs! * passedOverFactor
    return [...awake.filter(state => !slow.includes(state)), ...slow, ...resting]
  }

  succeeded(state: ServerState, elapsedMs: number): void {
    const before = state.latencyMs
    state.latencyMs = before === null ? elapsedMs : before + (elapsedMs - before) * latencyWeight
    if (state.failures >= failuresToRest) this.#onChange(state.label, true)
    state.failures = 0
    state.restsUntilMs = Number.NEGATIVE_INFINITY
  }

  /** Many queries under way fail together when a server dies: those begun before the last failure count once. */
  failed(state: ServerState, startedMs: number): void {
    if (startedMs < state.failedAtMs) return
    state.failedAtMs = this.#monotonicMs()
    state.failures++
    if (state.failures < failuresToRest) return
    if (state.failures === failuresToRest) this.#onChange(state.label, false)
    const restMs = Math.min(restMsMax, restMsFirst * 2 ** (state.failures - failuresToRest))
    state.restsUntilMs = this.#monotonicMs() + restMs
  }
}

function labelOf(server: DnsServer): string {
  const port = server.port ?? 53
  return server.address.includes(':') ? `[${server.address}]:${port}` : `${server.address}:${port}`
}

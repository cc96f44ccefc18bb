// The resolver: one name and type in, one value out, remembered for as long as the answer lives.
//
// It stands in front of every attempt that goes by MX. `cached` is for the hot path (no promise); `query`
// asks the servers and shares one question on the wire between all who ask it at the same time.
// Plan of a query: 1. check the name, 2. the cache, 3. join a question already under way, 4. ask (bounded
// number at once, those who ask in turn), 5. follow CNAMEs that lead out of the answer, eight steps in all, 6. remember.
// A question ends early only when everybody who waits for it has gone.

import { cnameStepsMax, readAnswer } from './answer.ts'
import { type AskContext, type Asked, ask } from './ask.ts'
import { TtlCache } from './cache.ts'
import { ServerList } from './health.ts'
import { normaliseName } from './name.ts'
import { Slots } from './slots.ts'
import type { DnsFailure, DnsFailureCode, DnsOptions, DnsResult, DnsType } from './types.ts'

const dayMs = 86_400_000
const rememberedRecordsMax = 100
/** What an entry and a record cost besides the bytes of their names and data, about. */
const entryBytes = 400
const recordBytes = 100
const notRemembered: ReadonlySet<DnsFailureCode> = new Set(['ABORTED', 'OVERLOADED', 'BAD_NAME'])

/** Counters since the start, for metrics. */
export interface DnsCounters {
  readonly asked: number
  readonly fromCache: number
  readonly shared: number
  readonly failed: number
  readonly cacheEntries: number
  readonly inFlight: number
  readonly waiting: number
}

/** How one server does, for status pages. */
export interface DnsServerHealth {
  readonly server: string
  readonly isTrusted: boolean
  readonly latencyMs: number | null
  readonly failures: number
}

/** Of one question. */
export interface DnsQueryOptions {
  /** Ends this call with ABORTED; others waiting for the same question are not hurt. */
  readonly signal: AbortSignal
  /**
   * Who asks: where questions wait, askers take turns. Default 0. A question that several ask waits with those of the first.
   */
  readonly asker?: number
}

interface Flight {
  readonly result: Promise<DnsResult>
  readonly control: AbortController
  waiters: number
}

type Asking = Required<DnsQueryOptions>

/** The part that delivery needs; anything that answers so will do. */
export interface DnsResolver {
  /** Asks. */
  query<T extends DnsType>(name: string, type: T, options: DnsQueryOptions): Promise<DnsResult<T>>
  /** What is remembered, without asking. `ttlMs` is the life left. */
  cached<T extends DnsType>(name: string, type: T): DnsResult<T> | undefined
}

/** A caching stub resolver over the given servers. */
export class Resolver implements DnsResolver, AsyncDisposable {
  readonly #options: Required<Omit<DnsOptions, 'servers' | 'ports' | 'mixCase' | 'onServer'>>
  readonly #ask: AskContext
  readonly #cache: TtlCache<DnsResult>
  readonly #slots: Slots
  readonly #flights = new Map<string, Flight>()
  readonly #counts = { asked: 0, fromCache: 0, shared: 0, failed: 0 }
  readonly #closed = new AbortController()

  constructor(options: DnsOptions) {
    const { servers, ports, ...rest } = options
    if (servers.length === 0) throw new TypeError('a resolver needs at least one DNS server')
    this.#options = {
      attemptTimeoutMs: rest.attemptTimeoutMs ?? 2000,
      rounds: rest.rounds ?? 2,
      inFlightMax: rest.inFlightMax ?? 200,
      waitingMax: rest.waitingMax ?? 10_000,
      cacheEntriesMax: rest.cacheEntriesMax ?? 20_000,
      cacheBytesMax: rest.cacheBytesMax ?? 33_554_432,
      ttlMsMin: rest.ttlMsMin ?? 5000,
      ttlMsMax: rest.ttlMsMax ?? dayMs,
      negativeTtlMsMax: rest.negativeTtlMsMax ?? 3_600_000,
      failureTtlMs: rest.failureTtlMs ?? 5000,
    }
    this.#ask = {
      ports,
      servers: new ServerList(servers, ports.monotonicMs, rest.onServer),
      attemptTimeoutMs: this.#options.attemptTimeoutMs,
      rounds: this.#options.rounds,
      mixCase: rest.mixCase ?? true,
    }
    const bound = { weightMax: this.#options.cacheBytesMax, weightOf: bytesOf }
    this.#cache = new TtlCache(this.#options.cacheEntriesMax, ports.monotonicMs, bound)
    this.#slots = new Slots(this.#options.inFlightMax, this.#options.waitingMax)
  }

  get counters(): DnsCounters {
    const { used, waiting } = this.#slots.load
    return { ...this.#counts, cacheEntries: this.#cache.size, inFlight: used, waiting }
  }

  get health(): DnsServerHealth[] {
    return this.#ask.servers.states.map(state => ({
      server: state.label,
      isTrusted: state.server.isTrusted === true,
      latencyMs: state.latencyMs,
      failures: state.failures,
    }))
  }

  cached<T extends DnsType>(name: string, type: T): DnsResult<T> | undefined {
    const normal = normaliseName(name)
    return normal === null ? undefined : (this.#peek(keyOf(normal, type)) as DnsResult<T> | undefined)
  }

  async query<T extends DnsType>(name: string, type: T, options: DnsQueryOptions): Promise<DnsResult<T>> {
    const normal = normaliseName(name)
    if (normal === null)
      return failure('BAD_NAME', `${JSON.stringify(name)} is not a name DNS can hold`, '', 0)
    const key = keyOf(normal, type)
    const known = this.#peek(key)
    if (known !== undefined) {
      this.#counts.fromCache++
      return known as DnsResult<T>
    }
    if (options.signal.aborted || this.#closed.signal.aborted) return aborted(normal, type)
    const result = this.#join(key, normal, type, options)
    return result as Promise<DnsResult<T>>
  }

  /** Forgets everything remembered, for a reload of the configuration. */
  clear(): void {
    this.#cache.clear()
  }

  /** Gives up all questions under way (their callers get ABORTED) and waits until their sockets are closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort()
    const flights = [...this.#flights.values()]
    for (const flight of flights) flight.control.abort()
    await Promise.allSettled(flights.map(flight => flight.result))
  }

  #peek(key: string): DnsResult | undefined {
    const found = this.#cache.get(key)
    return found === undefined ? undefined : { ...found.value, ttlMs: found.leftMs }
  }

  #join(
    key: string,
    name: string,
    type: DnsType,
    { signal, asker = 0 }: DnsQueryOptions,
  ): Promise<DnsResult> {
    let flight = this.#flights.get(key)
    if (flight === undefined) {
      const control = new AbortController()
      const result = this.#run(key, name, type, { signal: control.signal, asker })
      flight = { result, control, waiters: 0 }
      this.#flights.set(key, flight)
    } else {
      this.#counts.shared++
    }
    return waitFor(flight, signal, aborted(name, type), () => {
      // Nobody waits any more: stop asking, and let the next caller start afresh.
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    })
  }

  async #run(key: string, name: string, type: DnsType, options: Asking): Promise<DnsResult> {
    try {
      const result = await this.#resolve(name, type, options)
      if (result.kind === 'failure') this.#counts.failed++
      if (!options.signal.aborted) this.#cache.set(key, result, isGiant(result) ? 0 : result.ttlMs)
      return result
    } finally {
      // Also after a fault of ours: who asks next must not join a question that is over. A flight that was given up has left
      // the list already, and another one may be in its place.
      if (!options.signal.aborted) this.#flights.delete(key)
    }
  }

  /** Asks, and asks again for the target while the answer is a CNAME that leads out of it. */
  async #resolve(name: string, type: DnsType, options: Asking): Promise<DnsResult> {
    let owner = name
    let steps = 0
    let ttlMs = Number.POSITIVE_INFINITY
    let isAuthenticated = true
    for (;;) {
      const known = owner === name ? undefined : this.#peek(keyOf(owner, type))
      if (known !== undefined) return bounded(known, ttlMs, isAuthenticated)
      const asked = await this.#askBounded(owner, type, options)
      if (asked.kind === 'failure') return this.#failed(asked.code, asked.why, owner, type, asked.server)
      isAuthenticated &&= asked.isTrusted && asked.reply.isAuthentic
      const reading = readAnswer(asked.reply, owner, type)
      switch (reading.kind) {
        case 'records': {
          const { records, canonicalName } = reading
          const life = this.#positiveTtlMs(Math.min(ttlMs, reading.ttlMs))
          return { kind: 'answer', records, ttlMs: life, isAuthenticated, canonicalName }
        }
        case 'nodata':
        case 'nxdomain': {
          // Without an SOA nothing says how long to believe it (RFC 2308 §5): no longer than a failure.
          const said = reading.ttlMs ?? this.#options.failureTtlMs
          const life = clamp(
            Math.min(said, ttlMs),
            this.#options.failureTtlMs,
            this.#options.negativeTtlMsMax,
          )
          return { kind: reading.kind, ttlMs: life, isAuthenticated }
        }
        case 'malformed':
          return this.#failed('MALFORMED', `the answer is broken: ${reading.why}`, owner, type, asked.server)
        case 'chain':
          return this.#failed('CNAME_CHAIN', chainWhy, owner, type, asked.server)
        case 'alias':
          steps += reading.steps
          ttlMs = Math.min(ttlMs, reading.ttlMs)
          owner = reading.target
          if (steps > cnameStepsMax) {
            return this.#failed('CNAME_CHAIN', chainWhy, name, type, asked.server)
          }
      }
    }
  }

  async #askBounded(name: string, type: DnsType, { signal, asker }: Asking): Promise<Asked> {
    const slot = await this.#slots.take(signal, asker)
    if (slot === 'full') {
      return { kind: 'failure', code: 'OVERLOADED', why: 'too many queries are waiting', server: '' }
    }
    if (slot === 'aborted') {
      return { kind: 'failure', code: 'ABORTED', why: 'the query was given up', server: '' }
    }
    try {
      this.#counts.asked++
      return await ask(this.#ask, name, type, signal)
    } finally {
      this.#slots.release()
    }
  }

  #positiveTtlMs(ttlMs: number): number {
    return clamp(ttlMs, this.#options.ttlMsMin, this.#options.ttlMsMax)
  }

  #failed(code: DnsFailureCode, why: string, name: string, type: DnsType, server: string): DnsFailure {
    const ttlMs = notRemembered.has(code) ? 0 : this.#options.failureTtlMs
    const by = server === '' ? '' : ` (server ${server})`
    return failure(code, `looking up ${type} of ${shown(name)}: ${why}${by}`, server, ttlMs)
  }
}

const chainWhy = `more than ${cnameStepsMax} CNAMEs in a row, or a circle of them`

/** One caller's wait for a shared question. */
function waitFor(
  flight: Flight,
  signal: AbortSignal,
  whenAborted: DnsResult,
  onEmpty: () => void,
): Promise<DnsResult> {
  flight.waiters++
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      resolve(whenAborted)
      if (--flight.waiters > 0) return
      onEmpty()
      flight.control.abort()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    flight.result.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject)
  })
}

/** An answer may have thousands of records; remembered in numbers, they would fill the memory. Real ones have a few. */
function isGiant(result: DnsResult): boolean {
  return result.kind === 'answer' && result.records.length > rememberedRecordsMax
}

/** About what a remembered result takes. */
function bytesOf(result: DnsResult, key: string): number {
  let bytes = entryBytes + key.length
  if (result.kind === 'failure') bytes += result.text.length
  if (result.kind !== 'answer') return bytes
  for (const record of result.records) {
    bytes += recordBytes
    for (const value of Object.values(record)) if (typeof value !== 'number') bytes += value.length
  }
  return bytes
}

function keyOf(name: string, type: DnsType): string {
  return `${type} ${name}`
}

function shown(name: string): string {
  return name === '' ? '.' : name
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}

function failure(code: DnsFailureCode, text: string, server: string, ttlMs: number): DnsFailure {
  return { kind: 'failure', code, text, server, ttlMs }
}

function aborted(name: string, type: DnsType): DnsFailure {
  return failure('ABORTED', `looking up ${type} of ${shown(name)}: the query was given up`, '', 0)
}

/** A remembered result of a CNAME's target, as the result for the alias. */
function bounded(result: DnsResult, ttlMs: number, isAuthenticated: boolean): DnsResult {
  if (result.kind === 'failure') return result
  return {
    ...result,
    ttlMs: Math.min(result.ttlMs, ttlMs),
    isAuthenticated: result.isAuthenticated && isAuthenticated,
  }
}

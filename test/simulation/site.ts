// A simulated site: the hosts behind some domains, with a weather that changes, and what it does to a transaction.
//
// What a peer says is decided here, as values: the sessions (peer-session.ts) carry it. The local part of a path says
// what its mailbox is like: `no…` is unknown, `full…` is full for ever, all others are well.

import type { Random } from '../support/random.ts'
import type { VirtualTime } from './virtual-time.ts'

/** How a site behaves for a while. */
export type Weather =
  | 'well'
  | 'slow'
  /** No connection comes about. */
  | 'dead'
  /** 421 instead of a greeting. */
  | 'busy'
  /** 450 until five minutes after a path was first seen. */
  | 'greylisting'
  /** 451 to every recipient. */
  | 'deferring'
  /** The connection is lost before the end of data. */
  | 'drops-early'
  /** The connection is lost after the end of data: half of the messages were taken. */
  | 'drops-late'
  /** 421 in the middle of a session. */
  | 'goodbye'
  /** The resolver has no answer for its domains. */
  | 'dns-down'

const weathers: readonly (readonly [Weather, weight: number, meanMinutes: number])[] = [
  ['well', 40, 120],
  ['slow', 12, 60],
  ['dead', 8, 90],
  ['busy', 5, 20],
  ['greylisting', 6, 120],
  ['deferring', 6, 60],
  ['drops-early', 5, 15],
  ['drops-late', 5, 15],
  ['goodbye', 5, 15],
  ['dns-down', 4, 15],
]

const greylistedMs = 300_000

/** Latency of one step of a transaction. */
const stepMs = { well: 40, slow: 1_500 } as const

export interface SiteSettings {
  readonly name: string
  readonly domains: readonly string[]
  readonly hosts: number
  /** RCPTMAX that it announces, null for none. */
  readonly rcptMax: number | null
  /** Recipients that it takes without having announced a limit; more get 452 4.5.3. */
  readonly recipientsTaken: number
  /** `senders` takes what goes back to senders; both of these keep their weather. */
  readonly role: 'ordinary' | 'senders' | 'provider'
  /** Latency of a step, whatever the weather. */
  readonly stepMs?: number
}

/** One site. */
export class Site {
  readonly settings: SiteSettings
  readonly hosts: readonly { readonly name: string; readonly address: string }[]
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #firstSeenMs = new Map<string, number>()
  readonly #onChange = new Set<() => void>()
  #isCalm = false
  weather: Weather = 'well'
  /** Monotonic. */
  changedMs: number = Number.NEGATIVE_INFINITY
  /** Sessions open now, and the most at once. */
  open = 0
  openMost = 0

  constructor(settings: SiteSettings, number: number, time: VirtualTime, random: Random) {
    this.settings = settings
    this.#time = time
    this.#random = random
    this.hosts = Array.from({ length: settings.hosts }, (_, index) => ({
      name: `mx${index}.${settings.name}`,
      address: `192.0.2.${number * 8 + index + 1}`,
    }))
    if (settings.role === 'ordinary') this.#planChange(30)
  }

  /** Clear skies from now on: the end of a simulation. */
  calm(): void {
    this.#setWeather('well')
    this.#isCalm = true
  }

  /** Told when the weather changes; the returned function ends that. */
  onChange(run: () => void): () => void {
    this.#onChange.add(run)
    return () => void this.#onChange.delete(run)
  }

  #planChange(meanMinutes: number): void {
    const delayMs = -Math.log(1 - this.#random.next()) * meanMinutes * 60_000
    this.#time.after(delayMs, () => {
      if (this.#isCalm) return
      const [weather, , minutes] = this.#pick()
      this.#setWeather(weather)
      this.#planChange(minutes)
    })
  }

  #pick(): (typeof weathers)[number] {
    let left = this.#random.below(weathers.reduce((sum, [, weight]) => sum + weight, 0))
    for (const one of weathers) {
      left -= one[1]
      if (left < 0) return one
    }
    return weathers[0]!
  }

  #setWeather(weather: Weather): void {
    if (weather === this.weather) return
    this.weather = weather
    this.changedMs = this.#time.monotonicMs()
    for (const run of [...this.#onChange]) run()
  }

  /** Latency of the next step. */
  get stepMs(): number {
    const base = this.settings.stepMs ?? (this.weather === 'slow' ? stepMs.slow : stepMs.well)
    return base * (0.5 + this.#random.next())
  }

  chance(share: number): boolean {
    return this.#random.chance(share)
  }

  /** The answer to one RCPT; null: taken so far. */
  refusal(
    path: string,
    taken: number,
  ): { readonly code: number; readonly enhanced: string; readonly text: string } | null {
    if (path.startsWith('no')) return { code: 550, enhanced: '5.1.1', text: 'No such user here' }
    if (path.startsWith('full')) return { code: 452, enhanced: '4.2.2', text: 'The mailbox is full' }
    if (taken >= this.settings.recipientsTaken)
      return { code: 452, enhanced: '4.5.3', text: 'Too many recipients' }
    if (this.weather === 'deferring') return { code: 451, enhanced: '4.3.0', text: 'Try again later' }
    if (this.weather !== 'greylisting') return null
    const nowMs = this.#time.monotonicMs()
    const seenMs = this.#firstSeenMs.get(path)
    if (seenMs === undefined) this.#firstSeenMs.set(path, nowMs)
    else if (nowMs - seenMs >= greylistedMs) {
      this.#firstSeenMs.delete(path)
      return null
    }
    return { code: 450, enhanced: '4.2.0', text: 'Greylisted, try again later' }
  }
}

// A whole simulated history: traffic, weather and faults, hour after hour, with the rules looked at all the time.
//
// 1. Time moves from event to event (virtual-time.ts). After each that may have set the process to work, the
//    real event loop turns until nothing is in its way any more: no request to the store is open, nothing
//    was planned for the next turn.
// 2. Every few minutes: waiting times, rows against the ledger. Now and then: a crash, a restart, an operator, a
//    full disk, a clock that jumps.
// 3. At the end clear skies and no traffic, until the queue is empty: nothing may be left, in the store or in memory.
// The same seed gives the same history; `digest` tells.

import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IdGenerator } from '../../src/base/index.ts'
import { type DeliveryOptions, defaultDeliveryOptions } from '../../src/delivery/index.ts'
import type { NewMessage, QueueRow } from '../../src/queue/index.ts'
import { Random } from '../support/random.ts'
import { fail } from './entry.ts'
import { Fairness } from './fairness.ts'
import { Ledger } from './ledger.ts'
import { type ProcessParts, RelayProcess } from './relay-process.ts'
import { checkRows } from './rows.ts'
import { kinds, Traffic } from './traffic.ts'
import { VirtualTime } from './virtual-time.ts'
import { World } from './world.ts'

const minute = 60_000
const hour = 60 * minute

/** Where data folders are made: in memory where that is possible, since every commit is synced. */
export const fastFolder: string = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

export interface SimulationSettings {
  readonly seed: number
  readonly hours: number
  /** Share of the ordinary traffic; 1 by default. */
  readonly rate?: number
  readonly threads?: number
  /** See `ProcessParts`. */
  readonly sabotage?: ProcessParts['sabotage']
  readonly onHour?: (progress: Progress) => void
}

export interface Progress {
  readonly hour: number
  readonly open: number
  readonly counts: Readonly<Record<string, number>>
}

export interface SimulationResult {
  readonly counts: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  /** SHA-256 over all events in their order, with virtual time: the same for the same seed. */
  readonly digest: string
  readonly openMost: number
  /** Recipients whose waiting for a turn was judged. */
  readonly judged: number
  /** The longest of these waits. */
  readonly slowestWaitMs: number
}

const delayNoticeAfterMs = 2 * hour
/** Small bounds, so that they are met. */
const options: DeliveryOptions = {
  ...defaultDeliveryOptions,
  source: { name: 'main', ehloName: 'relay.test', ipv4: '', ipv6: '' },
  mxPort: 25,
  retry: { intervalsMs: [minute, 5 * minute, 15 * minute, hour] },
  connectionsPerSite: 6,
  connectionsPerHost: 4,
  connectionsTotal: 30,
  messagesPerConnection: 50,
  recipientsPerTransaction: 10,
  readyRecipientsMax: 300,
  delayNoticeAfterMs,
}
const leasePollMs = 15_000
const quietTurns = 4
const burstGapMs = 10

/** Runs one history. Throws with the broken rule. */
export async function simulate(settings: SimulationSettings): Promise<SimulationResult> {
  const dataDir = mkdtempSync(join(fastFolder, 'postrider-simulation-'))
  const simulation = new Simulation(settings, dataDir)
  try {
    return await simulation.run()
  } finally {
    await simulation.end()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

class Simulation {
  readonly #settings: SimulationSettings
  readonly #time = new VirtualTime()
  readonly #random: Random
  readonly #world: World
  readonly #ledger: Ledger
  readonly #fairness: Fairness
  readonly #traffic: Traffic
  readonly #parts: ProcessParts
  readonly #faults: Record<string, number> = {
    crashes: 0,
    restarts: 0,
    actions: 0,
    fullDisks: 0,
    jumps: 0,
    refused: 0,
  }
  readonly #digest = createHash('sha256')
  #process: RelayProcess
  #isOver = false
  #openMost = 0
  /** What is to be done between two events, since it takes the process apart. */
  #due: (() => Promise<void>)[] = []
  #broken: unknown = null

  constructor(settings: SimulationSettings, dataDir: string) {
    this.#settings = settings
    this.#random = new Random(settings.seed)
    const time = this.#time
    this.#world = new World(time, this.#random.fork())
    this.#fairness = new Fairness(time, this.#world)
    this.#ledger = new Ledger(
      {
        intervalsMs: options.retry.intervalsMs,
        lateMs: options.expiryGraceMs + 10_000,
        delayNoticeAfterMs,
        hasHosts: path => this.#world.siteOf(path.slice(path.indexOf('@') + 1)) !== undefined,
        onFirstAttempt: entry => this.#fairness.firstAttempt(entry),
      },
      () => time.nowMs(),
      () => time.monotonicMs(),
    )
    const idRandom = this.#random.fork()
    const ids = new IdGenerator(
      () => time.nowMs(),
      sizeBytes => idRandom.bytes(sizeBytes),
    )
    this.#traffic = new Traffic(time, this.#random.fork(), this.#world, ids)
    this.#parts = {
      dataDir,
      time,
      random: this.#random.fork(),
      ledger: this.#ledger,
      world: this.#world,
      ids,
      options,
      threads: settings.threads ?? 2,
      leasePollMs,
      ...(settings.sabotage === undefined ? {} : { sabotage: settings.sabotage }),
    }
    this.#process = RelayProcess.start(this.#parts)
  }

  async run(): Promise<SimulationResult> {
    for (const kind of kinds)
      this.#traffic.plan(
        kind,
        this.#settings.rate ?? 1,
        makes => this.#send(makes),
        () => this.#isOver,
      )
    this.#planFault(8, () => this.#due.push(() => this.#crash()))
    this.#planFault(24, () => this.#due.push(() => this.#restart()))
    this.#planFault(4, () => this.#due.push(() => this.#operate()))
    this.#planFault(12, () => this.#fillDisk())
    this.#planFault(48, () => this.#jump())
    this.#planLook()
    for (let at = 1; at <= this.#settings.hours; at++) {
      await this.#runUntil(at * hour)
      this.#settings.onHour?.({ hour: at, open: this.#ledger.openCount, counts: this.#ledger.counts })
    }
    await this.#empty()
    return {
      counts: this.#ledger.counts,
      faults: this.#faults,
      digest: this.#digest.digest('hex'),
      openMost: this.#openMost,
      judged: this.#fairness.judged,
      slowestWaitMs: this.#fairness.slowestMs,
    }
  }

  async end(): Promise<void> {
    await this.#process.kill().catch(() => {})
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  async #runUntil(untilMs: number): Promise<void> {
    for (;;) {
      const run = this.#time.next(untilMs)
      if (run === null) return
      run()
      if (this.#process.isBusy || this.#due.length > 0) await this.#quiet()
      while (this.#due.length > 0) {
        await this.#driven(this.#due.shift()!())
        await this.#quiet()
      }
      if (this.#broken !== null) throw this.#broken
      if (this.#process.fatal !== null) throw this.#process.fatal
    }
  }

  /** Lets the real event loop turn until nothing is left to do at this moment. */
  async #quiet(): Promise<void> {
    for (let quiet = 0; quiet < quietTurns; quiet = this.#process.pending > 0 ? 0 : quiet + 1)
      await new Promise(resolve => setImmediate(resolve))
  }

  /** Waits for something that may itself need virtual time to pass. */
  async #driven(work: Promise<void>): Promise<void> {
    let isDone = false
    const done = work.finally(() => {
      isDone = true
    })
    // Told below; a rejection must not count as unhandled meanwhile.
    done.catch(() => {})
    for (let i = 0; !isDone; i++) {
      await this.#quiet()
      if (isDone) break
      const run = this.#time.next(this.#time.monotonicMs() + hour)
      run?.()
      if (i > 1_000_000) fail('a stop or an action does not come to its end')
    }
    await done
  }

  #planFault(meanHours: number, happen: () => void): void {
    this.#time.after(-Math.log(1 - this.#random.next()) * meanHours * hour, () => {
      if (this.#isOver) return
      happen()
      this.#planFault(meanHours, happen)
    })
  }

  // ---- what happens --------------------------------------------------------------------------------------------------

  /** A burst comes one after the other, as over a few sessions. */
  #send(makes: readonly ((hasRoom: boolean) => NewMessage)[]): void {
    for (const [index, make] of makes.entries())
      if (index === 0) this.#submit(make)
      else this.#time.after(index * burstGapMs, () => this.#submit(make))
  }

  #submit(make: (hasRoom: boolean) => NewMessage): void {
    void this.#process.submit(this.#random.below(8), make).then(
      isStored => {
        if (!isStored) this.#faults['refused']!++
      },
      error => {
        this.#broken ??= error
      },
    )
  }

  async #crash(): Promise<void> {
    this.#faults['crashes']!++
    this.#disturb()
    // Something should be under way when it strikes.
    const turns = this.#random.below(4)
    for (let i = 0; i < turns; i++) await new Promise(resolve => setImmediate(resolve))
    await this.#process.kill()
    this.#process = RelayProcess.start(this.#parts)
  }

  async #restart(): Promise<void> {
    this.#faults['restarts']!++
    this.#disturb()
    await this.#process.stop(this.#random.pick([0, 1_000, 30_000]))
    this.#process = RelayProcess.start(this.#parts)
    this.#disturb()
  }

  async #operate(): Promise<void> {
    this.#faults['actions']!++
    this.#disturb()
    const accountKey = this.#random.between(1, 4)
    const kind = this.#random.pick(['hold', 'release', 'retry', 'release', 'expire'] as const)
    if (kind === 'expire' && this.#random.chance(0.7)) return
    if (kind === 'expire') this.#ledger.expiringAccount = accountKey
    await this.#process.act({ accountKey }, kind === 'hold' ? { kind, note: 'simulated' } : { kind })
    this.#ledger.expiringAccount = null
    // What is held is let go before it is all too late.
    if (kind === 'hold')
      this.#time.after(this.#random.below(3 * hour), () => {
        this.#due.push(() => this.#process.act({ accountKey }, { kind: 'release' }))
        this.#disturb()
      })
  }

  #fillDisk(): void {
    this.#faults['fullDisks']!++
    this.#process.disk.isFull = true
    this.#disturb()
    const process = this.#process
    this.#time.after(this.#random.between(1_000, 10 * minute), () => {
      process.disk.isFull = false
      this.#disturb()
    })
  }

  #jump(): void {
    this.#faults['jumps']!++
    this.#disturb()
    this.#time.jump(this.#random.pick([-hour, -1_000, 1_000, hour, 24 * hour, -24 * hour]))
  }

  #disturb(): void {
    this.#fairness.disturbed()
  }

  // ---- looking ---------------------------------------------------------------------------------------------------------

  #planLook(): void {
    this.#time.after(10 * minute, () => {
      this.#due.push(() => this.#look())
      if (!this.#isOver) this.#planLook()
    })
  }

  async #look(): Promise<void> {
    this.#openMost = Math.max(this.#openMost, this.#ledger.openCount)
    this.#process.readEvents()
    checkRows(await this.#rows(), this.#ledger.open)
    this.#fairness.check(this.#ledger.open.values())
    for (const { settings, openMost, open } of this.#world.sites) {
      const most = options.connectionsPerSite * this.#parts.threads
      if (openMost > most) fail(`${settings.name} had ${openMost} connections at once, ${most} are allowed`)
      if (open < 0) fail(`${settings.name} counts ${open} connections`)
    }
    // A lease under way and the doors may fill the same room.
    for (const { number, room } of this.#process.threads)
      if (room.recipients > options.readyRecipientsMax * 2)
        fail(`thread ${number} has ${room.recipients} recipients in hand`)
    const { counts, lastSeq } = this.#ledger
    this.#digest.update(`${this.#time.monotonicMs()} ${lastSeq} ${JSON.stringify(counts)}\n`)
  }

  async #rows(): Promise<QueueRow[]> {
    const { control } = this.#process.threads[0]!.line
    const rows: QueueRow[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { readonly rows: QueueRow[]; readonly cursor: string | null } = await control.list(
        {},
        cursor,
        1000,
      )
      rows.push(...page.rows)
      cursor = page.cursor
    }
    return rows
  }

  /** Clear skies, no traffic, until everything has come to its end; then nothing may be left anywhere. */
  async #empty(): Promise<void> {
    this.#isOver = true
    this.#process.disk.isFull = false
    for (const site of this.#world.sites) site.calm()
    await this.#driven(this.#process.act({}, { kind: 'release' }))
    for (let i = 0; i < 4 * 72 && this.#ledger.openCount > 0; i++)
      await this.#runUntil(this.#time.monotonicMs() + hour / 4)
    await this.#runUntil(this.#time.monotonicMs() + 10 * minute)
    await this.#look()
    if (this.#ledger.openCount > 0) fail(`${this.#ledger.openCount} recipients never come to an end`)
    for (const { number, engine, settler, room } of this.#process.threads) {
      const { recipientsInHand, contentBytes, batchesInFlight, connections, nextHops } = engine.gauges()
      const left =
        recipientsInHand +
        contentBytes +
        batchesInFlight +
        connections +
        nextHops +
        settler.waiting +
        room.recipients
      if (left > 0)
        fail(`thread ${number} keeps something although all is done: ${JSON.stringify(engine.gauges())}`)
    }
  }
}

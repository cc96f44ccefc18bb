// The main thread's parts: its line to the store, the account service, the relay threads, readiness and metrics.
//
// No mail passes here. Phases: starting → ready → draining, moved on by serve.ts alone; /readyz shows them. Disposed
// before the store host, since its line to the store must be closed first.

import { randomBytes } from 'node:crypto'
import { AccountService, SecretBox } from '../accounts/index.ts'
import type { Readiness } from '../api/index.ts'
import { IdGenerator, systemClock } from '../base/index.ts'
import {
  type Config,
  formatSocketAddress,
  networkListeners,
  type SocketAddress,
  type TlsMaterial,
} from '../config/index.ts'
import { allocateDoorMemory } from '../intake/index.ts'
import { openThreadStore, type StoreHost, type ThreadStore } from '../store/index.ts'
import { type Log, Metrics, mergeMetrics, RuntimeWatch } from '../telemetry/index.ts'
import { ClockGuard } from './clock-guard.ts'
import { CommitNotes } from './commit-notes.ts'
import { DescriptorWatch } from './descriptor-watch.ts'
import type { Prepared } from './prepare.ts'
import { QueueCount } from './queue-count.ts'
import { type LabAddresses, mainThreadNumber } from './relay-data.ts'
import { RelayHost } from './relay-host.ts'
import { StoreAnswers } from './store-answers.ts'
import type { StoreHealth } from './store-health.ts'
import { version } from './version.ts'

const clock = systemClock
/** Counting a long queue takes a while, and so does a disk that stands still; a scraper does not wait for ever. */
const scrapePatienceMs = 1_000
const queueCount = { ageMsMax: 30_000, patienceMs: scrapePatienceMs }

/** States: starting → ready → draining. */
type Phase = 'starting' | 'ready' | 'draining'

/** See the head of the file. Disposed before the store host. */
export class MainParts implements AsyncDisposable {
  readonly log: Log
  readonly store: ThreadStore
  readonly accountService: AccountService
  readonly relays: RelayHost = new RelayHost(() => this.#clockGuard.look())
  readonly ids: IdGenerator = new IdGenerator(() => clock.nowMs(), randomBytes)
  readonly lab: LabAddresses | null
  readonly startedAtMs: number = clock.nowMs()
  /** In force. */
  config: Config
  /** The same as the file asks for it, before it was cut to the descriptors that there are. */
  asked: Config
  tls: TlsMaterial
  dnsServers: readonly SocketAddress[]
  ticketKeys: Buffer = randomBytes(48)
  readonly #prepared: Prepared
  readonly #host: StoreHost
  readonly #health: StoreHealth
  readonly #clockGuard: ClockGuard
  readonly #descriptors: DescriptorWatch
  readonly #answers: StoreAnswers
  readonly #metrics: Metrics = new Metrics()
  readonly #runtime: RuntimeWatch
  readonly #queueCount: QueueCount
  readonly #commits: CommitNotes
  #phase: Phase = 'starting'

  private constructor(
    prepared: Prepared,
    host: StoreHost,
    health: StoreHealth,
    lab: LabAddresses | null,
    log: Log,
  ) {
    const { config, secretKey } = prepared
    this.#prepared = prepared
    this.#host = host
    this.#health = health
    this.log = log
    this.lab = lab
    this.config = config
    this.asked = prepared.asked
    this.tls = prepared.tls
    this.dnsServers = prepared.dnsServers
    this.store = openThreadStore({
      dataDir: config.dataDir,
      port: host.connect(),
      thread: mainThreadNumber,
      nowMs: () => clock.nowMs(),
    })
    this.#clockGuard = new ClockGuard(clock, jump => this.store.control.clockJumped(jump), log)
    this.#descriptors = new DescriptorWatch(clock, log)
    // What it costs the store thread is the least that can be asked of it.
    this.#answers = new StoreAnswers(() => this.store.storeCpu(), clock, log)
    health.probe = () => this.store.probe()
    this.accountService = new AccountService({
      reader: this.store.accounts,
      store: this.store.accountStore,
      box: new SecretBox(secretKey, randomBytes),
      ids: this.ids,
      randomBytes,
      nowMs: () => clock.nowMs(),
      hostname: config.hostname,
    })
    this.#queueCount = new QueueCount(
      async () => ({ ...(await this.store.control.count({})) }),
      clock,
      queueCount,
    )
    this.#commits = new CommitNotes(() => this.store.commitFacts(), this.#metrics, scrapePatienceMs)
    this.#runtime = new RuntimeWatch(this.#metrics, true, turn => log.event('loop.late', { ...turn }))
    this.#metrics.info.set(1, version)
    this.#metrics.started.set(this.startedAtMs / 1000)
  }

  static open(
    prepared: Prepared,
    host: StoreHost,
    health: StoreHealth,
    lab: LabAddresses | null,
    log: Log,
  ): MainParts {
    return new MainParts(prepared, host, health, lab, log)
  }

  /** Starts the relay threads; they open no door yet. */
  startThreads(): void {
    const { threads, secretKey, operatorKeyPem } = this.#prepared
    const doors = allocateDoorMemory(randomBytes)
    const greetingId = randomBytes(8).toString('hex')
    for (let index = 0; index < threads; index++) {
      this.relays.start({
        config: this.config,
        index,
        threads,
        storePort: this.#host.connect(),
        tls: this.tls,
        ticketKeys: this.ticketKeys,
        greetingId,
        doors,
        secretKey,
        operatorKeyPem,
        dnsServers: this.dnsServers,
        lab: this.lab,
      })
    }
  }

  becomeReady(): void {
    this.#phase = 'ready'
    for (const { address, kind } of this.config.listeners)
      this.log.event('listener.open', { address: formatSocketAddress(address), kind })
    this.tellMissingAccounts()
    this.log.event('server.ready')
  }

  /** Warns of the accounts that listeners of the configuration in force name, and nobody has made. */
  tellMissingAccounts(): void {
    for (const { address, account } of networkListeners(this.config)) {
      if (this.store.accounts.accountByName(account) !== null) continue
      this.log.event('listener.account-missing', {
        address: formatSocketAddress(address),
        account,
        hint: `postrider account create ${account}`,
      })
    }
  }

  becomeDraining(): void {
    this.#phase = 'draining'
  }

  readiness(): Readiness {
    if (this.#phase !== 'ready')
      return { ready: false, reasons: [this.#phase === 'starting' ? 'starting' : 'shutting down'] }
    const troubles = [
      this.#health.trouble,
      this.#answers.trouble,
      this.#readTrouble(),
      this.#descriptors.trouble,
    ]
    const reasons = troubles.filter(reason => reason !== null)
    return reasons.length === 0 ? { ready: true } : { ready: false, reasons }
  }

  /** Who cannot read it knows no account, and answers 451 to everybody. */
  #readTrouble(): string | null {
    try {
      this.store.events.lastSeq()
      return null
    } catch (error) {
      return `the database cannot be read: ${(error as Error).message}; check the disk`
    }
  }

  /** All threads' metrics as text. */
  async scrape(): Promise<string> {
    this.#runtime.sample()
    await Promise.all([this.#commits.note(), this.#queueCount.show(this.#metrics.queue)])
    return mergeMetrics([this.#metrics.collect(), ...(await this.relays.metrics())])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#clockGuard[Symbol.dispose]()
    this.#descriptors[Symbol.dispose]()
    this.#answers[Symbol.dispose]()
    await this.relays.terminate()
    this.#runtime[Symbol.dispose]()
    await this.store[Symbol.asyncDispose]()
  }
}

// SIGHUP: reads the configuration, the certificate and the machine's DNS servers again and hands what may change to the
// running threads.
//
// A configuration with problems changes nothing; a certificate with problems leaves the old one beside the new
// configuration. What is built into the parts at start needs a restart (withFixedParts has the list); a
// difference there is warned about. TLS ticket keys rotate here, once a day and at each reload. One thing at a
// time goes to the threads, and the log says that it is in force, and the main thread holds it for the settings
// in force, when all of them have taken it.

import { randomBytes } from 'node:crypto'
import {
  type Config,
  dnsServersOf,
  formatProblem,
  formatSocketAddress,
  type SocketAddress,
} from '../config/index.ts'
import type { Log } from '../telemetry/index.ts'
import { fitConnections } from './descriptors.ts'
import type { Hangups } from './hangups.ts'
import type { MainParts } from './main-parts.ts'
import { readConfig, readTls } from './prepare.ts'

const ticketKeysMs = 86_400_000

/** What it needs of them; what is in force is written there. */
export interface ReloadParts
  extends Pick<MainParts, 'config' | 'asked' | 'tls' | 'dnsServers' | 'ticketKeys' | 'tellMissingAccounts'> {
  readonly relays: Pick<MainParts['relays'], 'reload'>
}

type Settings = Pick<MainParts, 'config' | 'tls' | 'dnsServers'>

/** Reloads at each SIGHUP until it is disposed. */
export class Reloader implements Disposable {
  readonly #parts: ReloadParts
  readonly #configPath: string | undefined
  readonly #log: Pick<Log, 'event'>
  readonly #rotation: NodeJS.Timeout
  readonly #takingOver: Disposable
  #last: Promise<void> = Promise.resolve()

  constructor(
    parts: ReloadParts,
    hangups: Pick<Hangups, 'handTo'>,
    configPath: string | undefined,
    log: Pick<Log, 'event'>,
  ) {
    this.#parts = parts
    this.#configPath = configPath
    this.#log = log
    this.#takingOver = hangups.handTo(() => void this.reload())
    this.#rotation = setInterval(() => void this.#rotate(), ticketKeysMs)
    this.#rotation.unref()
  }

  /** Never rejects: what went wrong is in the log, and the old settings stay. */
  reload(): Promise<void> {
    return this.#inLine(() => this.#reload(), 'config.refused')
  }

  /** The settings in force once more, with new ticket keys. */
  #rotate(): Promise<void> {
    return this.#inLine(() => this.#spread(this.#parts), 'tls.rotation-failed')
  }

  /**
   * Whatever becomes of one piece of work, the next one has its turn.
   * @param failure what the log calls it when it throws
   */
  #inLine(work: () => Promise<void>, failure: 'config.refused' | 'tls.rotation-failed'): Promise<void> {
    this.#last = this.#last.then(work).catch(error => this.#log.event(failure, { err: error }))
    return this.#last
  }

  async #reload(): Promise<void> {
    const parts = this.#parts
    const loaded = readConfig(this.#configPath)
    if (!loaded.ok) {
      this.#log.event('config.refused', { problems: loaded.problems.map(formatProblem) })
      return
    }
    // Told apart by what the files ask for: what was cut to fit the descriptors is no change of anybody's.
    const asked = withFixedParts(parts.asked, loaded.config)
    const fitted = fitConnections(asked.config, parts.config.limits.sessions)
    const tls = readTls(fitted.config, Date.now())
    for (const warning of [...loaded.warnings, ...(tls.ok ? tls.warnings : []), ...fitted.warnings])
      this.#log.event('config.warning', { ...warning })
    if (asked.ignored.length > 0)
      this.#log.event('config.warning', {
        where: asked.ignored,
        what: 'changed, and needs a restart to count',
      })
    if (!tls.ok) this.#log.event('tls.refused', { ...tls.problem })
    const material = tls.ok ? tls.material : parts.tls
    const dnsServers = dnsServersOf(fitted.config)
    const [before, after] = [parts.dnsServers, dnsServers].map(describeServers)
    await this.#spread({ config: fitted.config, tls: material, dnsServers })
    if (before !== after) this.#log.event('dns.servers-changed', { servers: after, before })
    parts.asked = asked.config
    if (tls.ok) this.#log.event('tls.reloaded', { notAfter: new Date(material.notAfterMs).toISOString() })
    parts.tellMissingAccounts()
    this.#log.event('config.reloaded', { path: loaded.path })
  }

  /** Hands settings to all threads, with new ticket keys; throws when one cannot take them. */
  async #spread({ config, tls, dnsServers }: Settings): Promise<void> {
    const parts = this.#parts
    const ticketKeys = randomBytes(48)
    await parts.relays.reload({ config, tls, dnsServers, ticketKeys })
    parts.config = config
    parts.tls = tls
    parts.dnsServers = dnsServers
    parts.ticketKeys = ticketKeys
  }

  [Symbol.dispose](): void {
    this.#takingOver[Symbol.dispose]()
    clearInterval(this.#rotation)
  }
}

function describeServers(servers: readonly SocketAddress[]): string {
  return servers.map(formatSocketAddress).join(', ')
}

const fixedKeys = [
  'hostname',
  'dataDir',
  'user',
  'relayThreads',
  'store',
  'http',
  'lab',
  'dkim',
  'log',
] as const

/** Shared out among the threads, or built into their parts, when they start. */
const fixedLimits = ['sessions', 'readyQueueRecipients', 'readyQueueSizeBytes', 'segmentSizeBytes'] as const

/** What the log calls them: names of the file. */
const fileNames: Readonly<Record<string, string>> = {
  dataDir: 'data_dir',
  relayThreads: 'relay_threads',
  sessions: 'limits.sessions',
  readyQueueRecipients: 'limits.ready_queue_recipients',
  readyQueueSizeBytes: 'limits.ready_queue_size',
  segmentSizeBytes: 'limits.segment_size',
}

/**
 * The new configuration, with what cannot change in a running server kept from the old one. `ignored` names what differs
 * and was kept, as the file calls it.
 */
export function withFixedParts(old: Config, fresh: Config): { config: Config; ignored: string[] } {
  const ignored: string[] = []
  const kept = <T extends object, const K extends readonly (keyof T & string)[]>(was: T, is: T, keys: K) => {
    for (const key of keys)
      if (JSON.stringify(was[key]) !== JSON.stringify(is[key])) ignored.push(fileNames[key] ?? key)
    return { ...is, ...Object.fromEntries(keys.map(key => [key, was[key]])) }
  }
  const config = kept(old, fresh, fixedKeys)
  const limits = kept(old.limits, fresh.limits, fixedLimits)
  const delivery = { ...fresh.delivery, port: old.delivery.port }
  if (old.delivery.port !== fresh.delivery.port) ignored.push('delivery.port')
  const isSameDoors =
    old.listeners.length === fresh.listeners.length &&
    old.listeners.every((listener, index) => isSameDoor(listener, fresh.listeners[index]!))
  if (!isSameDoors) ignored.push('listener')
  const listeners = isSameDoors
    ? fresh.listeners.map((listener, index) => ({ ...listener, address: old.listeners[index]!.address }))
    : old.listeners
  return { config: { ...config, limits, delivery, listeners }, ignored }
}

function isSameDoor(old: Config['listeners'][number], fresh: Config['listeners'][number]): boolean {
  const isSamePort = old.address.port === fresh.address.port || fresh.address.port === 0
  return old.kind === fresh.kind && old.address.host === fresh.address.host && isSamePort
}

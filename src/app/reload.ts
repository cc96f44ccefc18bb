// SIGHUP: reads the configuration and the certificate again and hands what may change to the running threads.
//
// A configuration with problems changes nothing; a certificate with problems leaves the old one beside the new configuration.
// What is built into the parts at start needs a restart (withFixedParts has the list); a difference there is warned about.
// TLS ticket keys rotate here, once a day and at each reload. One thing at a time goes to the threads, and the log says
// that it is in force, and the main thread holds it for the settings in force, when all of them have taken it.

import { randomBytes } from 'node:crypto'
import { type Config, formatProblem, type TlsMaterial } from '../config/index.ts'
import type { Log } from '../telemetry/index.ts'
import { fitConnections } from './descriptors.ts'
import type { Hangups } from './hangups.ts'
import type { MainParts } from './main-parts.ts'
import { readConfig, readTls } from './prepare.ts'

const ticketKeysMs = 86_400_000

/** Reloads at each SIGHUP until it is disposed. */
export class Reloader implements Disposable {
  readonly #parts: MainParts
  readonly #configPath: string | undefined
  readonly #log: Log
  readonly #rotation: NodeJS.Timeout
  readonly #takingOver: Disposable
  #last: Promise<void> = Promise.resolve()

  constructor(parts: MainParts, hangups: Hangups, configPath: string | undefined, log: Log) {
    this.#parts = parts
    this.#configPath = configPath
    this.#log = log
    this.#takingOver = hangups.handTo(() => void this.reload())
    this.#rotation = setInterval(() => void this.#inLine(() => this.#rotate()), ticketKeysMs)
    this.#rotation.unref()
  }

  /** Never rejects: what went wrong is in the log, and the old settings stay. */
  reload(): Promise<void> {
    return this.#inLine(() => this.#reload())
  }

  /** Whatever becomes of one piece of work, the next one has its turn. */
  #inLine(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work).catch(error => this.#log.event('config.refused', { err: error }))
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
    if (!(await this.#spread(fitted.config, material))) return
    parts.asked = asked.config
    if (tls.ok) this.#log.event('tls.reloaded', { notAfter: new Date(material.notAfterMs).toISOString() })
    parts.tellMissingAccounts()
    this.#log.event('config.reloaded', { path: loaded.path })
  }

  async #rotate(): Promise<void> {
    await this.#spread(this.#parts.config, this.#parts.tls)
  }

  /** Hands settings to all threads, with new ticket keys. False: one could not take them, which is logged. */
  async #spread(config: Config, tls: TlsMaterial): Promise<boolean> {
    const parts = this.#parts
    const ticketKeys = randomBytes(48)
    try {
      await parts.relays.reload({ config, tls, ticketKeys })
    } catch (error) {
      this.#log.event('config.refused', { err: error })
      return false
    }
    parts.config = config
    parts.tls = tls
    parts.ticketKeys = ticketKeys
    return true
  }

  [Symbol.dispose](): void {
    this.#takingOver[Symbol.dispose]()
    clearInterval(this.#rotation)
  }
}

const fixedKeys = [
  'hostname',
  'dataDir',
  'user',
  'relayThreads',
  'store',
  'http',
  'lab',
  'dns',
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

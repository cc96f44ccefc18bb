// SIGHUP: reads the configuration and the certificate again and hands what may change to the running threads.
//
// A configuration with problems changes nothing. What is built into the parts at start needs a restart (withFixedParts has
// the list); a difference there is warned about. TLS ticket keys rotate here, once a day and at each reload.

import { randomBytes } from 'node:crypto'
import { type Config, formatProblem } from '../config/index.ts'
import type { Log } from '../telemetry/index.ts'
import { fitDescriptors } from './descriptors.ts'
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

  constructor(parts: MainParts, hangups: Hangups, configPath: string | undefined, log: Log) {
    this.#parts = parts
    this.#configPath = configPath
    this.#log = log
    this.#takingOver = hangups.handTo(() => void this.reload())
    this.#rotation = setInterval(() => void this.#spread(), ticketKeysMs)
    this.#rotation.unref()
  }

  /** Never rejects: what went wrong is in the log, and the old settings stay. */
  async reload(): Promise<void> {
    const parts = this.#parts
    const loaded = readConfig(this.#configPath)
    if (!loaded.ok) {
      this.#log.event('config.refused', { problems: loaded.problems.map(formatProblem) })
      return
    }
    // Sessions are fixed at the start; what is left of the descriptors is for connections.
    const { config } = fitDescriptors(loaded.config)
    const fixed = withFixedParts(parts.config, config)
    if (fixed.ignored.length > 0)
      this.#log.event('config.warning', {
        where: fixed.ignored,
        what: 'changed, and needs a restart to count',
      })
    parts.config = fixed.config
    const tls = readTls(parts.config, Date.now())
    if (tls.ok) {
      parts.tls = tls.material
      this.#log.event('tls.reloaded', { notAfter: new Date(tls.material.notAfterMs).toISOString() })
    } else this.#log.event('tls.refused', { ...tls.problem })
    await this.#spread()
    this.#log.event('config.reloaded', { path: loaded.path })
  }

  async #spread(): Promise<void> {
    const parts = this.#parts
    parts.ticketKeys = randomBytes(48)
    const { config, tls, ticketKeys } = parts
    try {
      await parts.relays.reload({ config, tls, ticketKeys })
    } catch (error) {
      this.#log.event('config.refused', { err: error })
    }
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

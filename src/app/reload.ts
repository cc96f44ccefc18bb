// SIGHUP: reads the configuration and the certificate again and hands what may change to the running threads.
//
// A configuration with problems changes nothing. Addresses and kinds of listeners, data_dir, user, threads, store, HTTP,
// lab, delivery, the retry schedule and some limits need a restart; a difference there is warned about. TLS ticket keys
// rotate here, once a day and at each reload.

import { randomBytes } from 'node:crypto'
import { type Config, formatProblem } from '../config/index.ts'
import type { Log } from '../telemetry/index.ts'
import type { MainParts } from './main-parts.ts'
import { readConfig, readTls } from './prepare.ts'

const ticketKeysMs = 86_400_000

/** Listens for SIGHUP until it is disposed. */
export class Reloader implements Disposable {
  readonly #parts: MainParts
  readonly #configPath: string | undefined
  readonly #log: Log
  readonly #rotation: NodeJS.Timeout
  readonly #onSignal = (): void => void this.reload()

  constructor(parts: MainParts, configPath: string | undefined, log: Log) {
    this.#parts = parts
    this.#configPath = configPath
    this.#log = log
    process.on('SIGHUP', this.#onSignal)
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
    const fixed = withFixedParts(parts.config, loaded.config)
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
    process.off('SIGHUP', this.#onSignal)
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
  'delivery',
  'log',
] as const

/** Limits that are shared out among the threads when they start. */
const fixedLimits = [
  'sessions',
  'connectionsPerAddress',
  'connectionRatePerAddress',
  'authFailures',
  'readyQueueRecipients',
  'readyQueueSizeBytes',
  'replyLines',
  'replySizeBytes',
] as const

/** The new configuration, with what cannot change in a running server kept from the old one. */
export function withFixedParts(old: Config, fresh: Config): { config: Config; ignored: string[] } {
  const ignored: string[] = fixedKeys.filter(key => JSON.stringify(old[key]) !== JSON.stringify(fresh[key]))
  const kept = Object.fromEntries(fixedKeys.map(key => [key, old[key]]))
  for (const key of fixedLimits) if (old.limits[key] !== fresh.limits[key]) ignored.push(`limits.${key}`)
  if (String(old.retry.scheduleMs) !== String(fresh.retry.scheduleMs)) ignored.push('retry.schedule')
  const isSameDoors =
    old.listeners.length === fresh.listeners.length &&
    old.listeners.every((listener, index) => isSameDoor(listener, fresh.listeners[index]!))
  if (!isSameDoors) ignored.push('listener')
  const listeners = isSameDoors
    ? fresh.listeners.map((listener, index) => ({ ...listener, address: old.listeners[index]!.address }))
    : old.listeners
  return { config: { ...fresh, ...kept, listeners }, ignored }
}

function isSameDoor(old: Config['listeners'][number], fresh: Config['listeners'][number]): boolean {
  const isSamePort = old.address.port === fresh.address.port || fresh.address.port === 0
  return old.kind === fresh.kind && old.address.host === fresh.address.host && isSamePort
}

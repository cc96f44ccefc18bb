// How many sessions and connections fit into the file descriptors that this process may open.
//
// Asked when the configuration is read, at start and at reload. Without this a busy server would find out by a failed
// accept: its doors, its own HTTP and its control socket would go deaf together. With it clients get 421 in time.

import { readFileSync } from 'node:fs'
import type { Config, Problem } from '../config/index.ts'

/** Files, listeners, HTTP, control socket, and one question to DNS at a time for many domains. */
const others = 400
const leastOfEach = 10

/** A configuration that fits, and what had to be cut for it. */
export interface FittedConfig {
  readonly config: Config
  readonly warnings: readonly Problem[]
}

/** What this process may open; null where the system does not say. Node has raised the soft limit by now. */
export function descriptorsMax(limits: string = readLimits()): number | null {
  const found = /^Max open files\s+(\d+)/m.exec(limits)
  return found === null ? null : Number(found[1])
}

/** At start: the configuration with sessions and connections cut to what fits, with a warning when that was needed. */
export function fitDescriptors(config: Config, max: number | null = descriptorsMax()): FittedConfig {
  const { sessions } = config.limits
  const { connectionsTotal } = config.delivery
  const wanted = sessions + connectionsTotal
  if (max === null || wanted + others <= max) return { config, warnings: [] }
  const share = (count: number): number =>
    Math.max(leastOfEach, Math.floor((Math.max(0, max - others) * count) / wanted))
  return cut(config, share(sessions), share(connectionsTotal), max)
}

/** At reload: sessions were settled at start, and connections get what is left. */
export function fitConnections(
  config: Config,
  sessions: number,
  max: number | null = descriptorsMax(),
): FittedConfig {
  const { connectionsTotal } = config.delivery
  const left = max === null ? connectionsTotal : Math.max(leastOfEach, max - others - sessions)
  if (sessions >= config.limits.sessions && left >= connectionsTotal) return { config, warnings: [] }
  return cut(config, sessions, Math.min(connectionsTotal, left), max)
}

function cut(config: Config, sessions: number, connectionsTotal: number, max: number | null): FittedConfig {
  const { limits, delivery } = config
  const wanted = limits.sessions + delivery.connectionsTotal
  const warning = {
    where: 'limits.sessions, delivery.connections_total',
    what: `this process may open ${max} files: ${sessions} sessions and ${connectionsTotal} connections fit, instead of ${limits.sessions} and ${delivery.connectionsTotal}`,
    hint: `raise its limit to ${wanted + others} (LimitNOFILE of the systemd unit, ulimit -n)`,
  }
  return {
    config: { ...config, limits: { ...limits, sessions }, delivery: { ...delivery, connectionsTotal } },
    warnings: [warning],
  }
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}

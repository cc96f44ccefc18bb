// How many sessions and connections fit into the file descriptors that this process may open.
//
// Asked when the configuration is read, at start and at reload. Without this a busy server would find out by a failed
// accept: its doors, its own HTTP and its control socket would go deaf together. With it clients get 421 in time.

import { readFileSync } from 'node:fs'
import type { Config, Problem } from '../config/index.ts'

/** Files, listeners, HTTP, control socket, and one question to DNS at a time for many domains. */
const others = 400
const leastOfEach = 10

/** What this process may open; null where the system does not say. Node has raised the soft limit by now. */
export function descriptorsMax(limits: string = readLimits()): number | null {
  const found = /^Max open files\s+(\d+)/m.exec(limits)
  return found === null ? null : Number(found[1])
}

/** The configuration with sessions and connections cut to what fits, with a warning when that was needed. */
export function fitDescriptors(
  config: Config,
  max: number | null = descriptorsMax(),
): { readonly config: Config; readonly warnings: readonly Problem[] } {
  const { sessions } = config.limits
  const { connectionsTotal } = config.delivery
  const wanted = sessions + connectionsTotal
  if (max === null || wanted + others <= max) return { config, warnings: [] }
  const share = (count: number): number =>
    Math.max(leastOfEach, Math.floor((Math.max(0, max - others) * count) / wanted))
  const fitting: Config = {
    ...config,
    limits: { ...config.limits, sessions: share(sessions) },
    delivery: { ...config.delivery, connectionsTotal: share(connectionsTotal) },
  }
  const warning = {
    where: 'limits.sessions, delivery.connections_total',
    what: `this process may open ${max} files: ${fitting.limits.sessions} sessions and ${fitting.delivery.connectionsTotal} connections fit, instead of ${sessions} and ${connectionsTotal}`,
    hint: `raise its limit to ${wanted + others} (LimitNOFILE of the systemd unit, ulimit -n)`,
  }
  return { config: fitting, warnings: [warning] }
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}

// What the control server gets of the running program.

import type { ControlPorts } from '../api/control/index.ts'
import { systemClock } from '../base/index.ts'
import { formatSocketAddress } from '../config/index.ts'
import type { LabHost } from './lab-host.ts'
import type { MainParts } from './main-parts.ts'
import { version } from './version.ts'

/** Builds the ports of the control server. `shutdown` starts the graceful end. */
export function controlPorts(parts: MainParts, lab: LabHost | null, shutdown: () => void): ControlPorts {
  const { config, store, relays, accountService, startedAtMs, log } = parts
  const { address } = config.http
  return {
    accounts: store.accounts,
    accountService,
    queue: store.control,
    events: store.events,
    threads: {
      accountsChanged: async () => {
        store.accounts.forget()
        await relays.accountsChanged()
      },
      recall: () => relays.recall(),
      wake: () => relays.wake(),
    },
    clock: systemClock,
    log,
    facts: {
      hostname: config.hostname,
      dataDir: config.dataDir,
      version,
      processId: process.pid,
      startedAtMs,
      listeners: config.listeners.map(listener => ({
        kind: listener.kind,
        host: listener.address.host,
        port: listener.address.port,
      })),
      http: address === null ? null : `http://${formatSocketAddress(address)}`,
      isLabOn: lab !== null,
    },
    lab: lab === null ? null : lab.commands,
    shutdown,
  }
}

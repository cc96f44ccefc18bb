// Starts the lab when the configuration asks for it, and says how the relay threads reach it.

import type { ControlPorts } from '../api/control/index.ts'
import type { Config } from '../config/index.ts'
import type { Lab } from '../lab/index.ts'
import type { Log } from '../telemetry/index.ts'
import type { LabAddresses } from './relay-data.ts'

/** A running lab. */
export interface LabHost extends AsyncDisposable {
  readonly lab: Lab
  readonly addresses: LabAddresses
  /** For the control server. */
  readonly commands: NonNullable<ControlPorts['lab']>
}

/** Null when the lab is off. */
export async function startLabFor(config: Config, log: Log): Promise<LabHost | null> {
  if (!config.lab.isEnabled) return null
  // Loaded only when it is on: nothing of the lab is in a production process.
  const { labCommands, startLab } = await import('../lab/index.ts')
  const lab = await startLab({ dnsPort: config.lab.dnsPort, mxPort: config.lab.mxPort })
  log.event('lab.ready', { dnsPort: lab.dnsPort, mxPort: lab.mxPort })
  return {
    lab,
    commands: labCommands(lab),
    addresses: { dnsPort: lab.dnsPort, mxPort: lab.mxPort },
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  }
}

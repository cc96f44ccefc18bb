// Starts the lab when the configuration asks for it, and says how the relay threads reach it.

import type { ControlPorts } from '../api/control/index.ts'
import { type Config, formatSocketAddress, type Problem } from '../config/index.ts'
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

/** Null when the lab is off; a problem when a port that it is to have cannot be had. */
export async function startLabFor(config: Config, log: Log): Promise<LabHost | Problem | null> {
  if (!config.lab.isEnabled) return null
  // Loaded only when it is on: nothing of the lab is in a production process.
  const { labCommands, startLab } = await import('../lab/index.ts')
  const { dnsPort, mxPort } = config.lab
  const lab = await startLab({ dnsPort, mxPort }).catch((error: unknown) => portProblem(error, dnsPort))
  if ('what' in lab) return lab
  log.event('lab.ready', { dnsPort: lab.dnsPort, mxPort: lab.mxPort })
  return {
    lab,
    commands: labCommands(lab),
    addresses: { dnsPort: lab.dnsPort, mxPort: lab.mxPort },
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  }
}

/** Rethrows what is not about a port. */
function portProblem(error: unknown, dnsPort: number): Problem {
  const {
    syscall,
    code = '',
    address,
    port,
  } = error as NodeJS.ErrnoException & {
    readonly address?: string
    readonly port?: number
  }
  if ((syscall !== 'listen' && syscall !== 'bind') || address === undefined || port === undefined) throw error
  const key = address === '127.0.0.1' && port === dnsPort ? 'dns_port' : 'mx_port'
  const where = `[lab] ${key}`
  const shown = formatSocketAddress({ host: address, port })
  if (code === 'EADDRINUSE')
    return {
      where,
      what: `another program has ${shown}`,
      hint: `find it with: ss -lntup 'sport = :${port}'; or leave ${key} out: the lab then takes a free port`,
    }
  return {
    where,
    what: `${shown} cannot be bound (${code})`,
    hint: `choose a port above 1023, or leave ${key} out`,
  }
}

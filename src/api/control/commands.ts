// All control commands: the groups put together into one table.

import { accountCommands } from './accounts.ts'
import type { ControlCommands } from './command.ts'
import { eventCommands } from './events.ts'
import { labCommands } from './lab.ts'
import { messageCommands } from './messages.ts'
import type { ControlPorts } from './ports.ts'
import { queueCommands } from './queue.ts'
import { serverCommands } from './server-commands.ts'

/** The table that the control server serves. */
export function controlCommands(ports: ControlPorts): ControlCommands {
  return {
    ...accountCommands(ports),
    ...eventCommands(ports),
    ...messageCommands(ports),
    ...queueCommands(ports),
    ...serverCommands(ports),
    ...labCommands(ports.lab),
  }
}

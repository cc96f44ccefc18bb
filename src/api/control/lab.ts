// Control commands of the lab: mounted as they are, when the lab is on.

import type { ControlCommands } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { done } from './wire.ts'

/** The lab's own commands; none when it is off. */
export function labCommands(lab: ControlPorts['lab']): ControlCommands {
  return Object.fromEntries(
    Object.entries(lab ?? {}).map(([name, run]) => [name, async given => done(await run(given.raw))]),
  ) as ControlCommands
}

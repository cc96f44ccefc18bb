// Control commands about the server itself: facts, end.

import type { ControlCommands } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { done } from './wire.ts'

/** `server.status`, `server.stop`. */
export function serverCommands(
  ports: Pick<ControlPorts, 'facts' | 'events' | 'shutdown' | 'clock'>,
): ControlCommands {
  return {
    'server.status': async given =>
      given.problem ??
      done({
        ...ports.facts,
        uptimeMs: ports.clock.nowMs() - ports.facts.startedAtMs,
        lastEventSeq: ports.events.lastSeq(),
      }),

    'server.stop': async given => {
      if (given.problem !== null) return given.problem
      ports.shutdown()
      return done({ isStopping: true })
    },
  }
}

/** Scenarios of breadth: many idle sessions, large messages at once, many recipients of one message. */
import type { FiguresScenario } from '../figures.ts'
import { runFanOut } from './fan-out.ts'
import { runIdleSessions } from './idle-sessions.ts'
import { runLargeMessages } from './large-messages.ts'

export const scaleScenarios: readonly FiguresScenario[] = [
  { kind: 'figures', name: 'idle-tls', title: '5,000 idle TLS sessions', run: runIdleSessions },
  { kind: 'figures', name: '25m', title: 'twenty messages of 25 MB at once', run: runLargeMessages },
  { kind: 'figures', name: 'fan-out', title: 'one message to 1,000 recipients at 50 sites', run: runFanOut },
]

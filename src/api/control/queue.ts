// Control commands about the queue: list, count, and act on what a filter matches.
//
// Plan of `queue.act`:
//  1. recall: ready recipients that are not in flight go back, since an action cannot see leased ones
//  2. count what matches
//  3. apply in steps of one commit each, with an item of progress after each
//  4. wake the threads; say how many are in flight and were therefore left alone

import type { QueueAction, QueueFilter } from '../../queue/index.ts'
import type { Arguments, ControlCall, ControlCommands } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { readFilter } from './queue-filter.ts'
import { queueRowJson } from './recipient-json.ts'
import { type ControlOutcome, done, failed } from './wire.ts'

type Ports = Pick<ControlPorts, 'accountService' | 'queue' | 'threads' | 'clock'>

const stepRecipients = 1000
const actions = ['hold', 'release', 'retry', 'expire', 'reroute'] as const

/** `queue.list`, `queue.count`, `queue.act`. */
export function queueCommands(ports: Ports): ControlCommands {
  const { accountService, queue } = ports
  return {
    'queue.list': async given => {
      const filter = readFilter(given, accountService)
      const limit = given.whole('limit', [1, 1000]) ?? 100
      const cursor = given.optionalText('cursor') ?? ''
      if (given.problem !== null) return given.problem
      if (!filter.ok) return filter
      const page = await queue.list(filter.filter, cursor, limit)
      return done({ items: page.rows.map(queueRowJson), cursor: page.cursor })
    },

    'queue.count': async given => {
      const filter = readFilter(given, accountService)
      if (given.problem !== null) return given.problem
      return filter.ok ? done(await queue.count(filter.filter)) : filter
    },

    'queue.act': async (given, call) => {
      const filter = readFilter(given, accountService)
      const action = readAction(given)
      if (given.problem !== null) return given.problem
      if (!filter.ok) return filter
      return 'ok' in action ? action : await act(ports, filter.filter, action, call)
    },
  }
}

function readAction(given: Arguments): QueueAction | ControlOutcome {
  const kind = given.choice('action', actions)
  const note = given.optionalText('note') ?? ''
  const smarthost = given.optionalText('smarthost')
  if (kind === undefined) return failed('invalid', '"action" is missing', `give one of ${actions.join(', ')}`)
  if (kind === 'hold') return { kind, note: note.slice(0, 500) }
  if (kind !== 'reroute') return { kind }
  if (smarthost === undefined || !/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/.test(smarthost))
    return failed(
      'invalid',
      'a smarthost is missing',
      'give it as host:port, for instance relay.example.com:25',
    )
  return { kind, smarthost }
}

async function act(
  ports: Ports,
  filter: QueueFilter,
  action: QueueAction,
  { item, signal }: ControlCall,
): Promise<ControlOutcome> {
  const { queue, threads, clock } = ports
  const recalled = await threads.recall()
  const count = await queue.count(filter)
  const most = reach(action, count)
  let acted = 0
  await item({ done: acted, total: most })
  while (acted < most && !signal.aborted) {
    const step = await queue.act(filter, action, clock.nowMs(), Math.min(stepRecipients, most - acted))
    if (step.done === 0) break
    acted += step.done
    await item({ done: acted, total: most })
  }
  threads.wake()
  return done({ action: action.kind, done: acted, inFlight: count.leased, recalled })
}

/** How many of those that match an action concerns. */
function reach(action: QueueAction, count: { readonly scheduled: number; readonly held: number }): number {
  if (action.kind === 'release') return count.held
  return action.kind === 'hold' || action.kind === 'retry' ? count.scheduled : count.scheduled + count.held
}

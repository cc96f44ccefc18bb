// Control commands about the queue: list, count, and act on what a filter matches.
//
// Plan of `queue.act`:
//  1. recall: ready recipients that are not in flight go back, since an action cannot see leased ones
//  2. count what matches
//  3. apply in steps of one commit each, with an item of progress after each, if the client reads
//  4. wake the threads; say how many are in flight and were therefore left alone; tell the log, however it ended
// Who closes his side of the connection has gone (a program that dies looks the same): the action ends with the step that
// runs, and says how far it came, for whoever may still read it.

import { parseSmarthost } from '../../base/index.ts'
import type { QueueAction, QueueFilter } from '../../queue/index.ts'
import type { LogFields } from '../../telemetry/index.ts'
import type { Arguments, ControlCall, ControlCommands } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { readFilter } from './queue-filter.ts'
import { type QueueRowJson, queueRowJson } from './recipient-json.ts'
import { type ControlOutcome, done, failed } from './wire.ts'

type Ports = Pick<ControlPorts, 'accountService' | 'queue' | 'threads' | 'clock' | 'log'>

type QueuePage = Awaited<ReturnType<ControlPorts['queue']['list']>>
type ActionStep = Awaited<ReturnType<ControlPorts['queue']['act']>>

const stepRecipients = 1000
const filterNames = ['account', 'domain', 'message', 'recipient', 'state'] as const
const actions = ['hold', 'release', 'retry', 'expire', 'reroute'] as const

/** `queue.list`, `queue.count`, `queue.act`. */
export function queueCommands(ports: Ports): ControlCommands {
  const { accountService, queue } = ports
  // One action at a time: the end of one lets leasing go on, which would take recipients from another.
  let turn: Promise<unknown> = Promise.resolve()
  return {
    'queue.list': async given => {
      const filter = readFilter(given, accountService)
      const limit = given.whole('limit', [1, 1000]) ?? 100
      const cursor = given.cursor()
      if (given.problem !== null) return given.problem
      if (!filter.ok) return filter
      return done(await listRows(queue, filter.filter, cursor, limit))
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
      if (filter.filter.state === 'leased')
        return failed(
          'invalid',
          'recipients in flight cannot be acted upon',
          'leave the state out: ready ones are called back first, those in flight end as they will',
        )
      if ('ok' in action) return action
      const asGiven = Object.fromEntries(
        filterNames.filter(name => given.raw[name] !== undefined).map(name => [name, given.raw[name]]),
      )
      const acted = turn.then(async () => await act(ports, filter.filter, action, call, asGiven))
      turn = acted.catch(() => undefined)
      return await acted
    },
  }
}

/** A full page unless the queue ends: the store may answer with less when a filter matches little. */
async function listRows(
  queue: ControlPorts['queue'],
  filter: QueueFilter,
  from: string,
  limit: number,
): Promise<{ readonly items: readonly QueueRowJson[]; readonly cursor: string | null }> {
  const items: QueueRowJson[] = []
  let cursor: string | null = from
  do {
    const page: QueuePage = await queue.list(filter, cursor, limit - items.length)
    items.push(...page.rows.map(queueRowJson))
    cursor = page.cursor
  } while (cursor !== null && items.length < limit)
  return { items, cursor }
}

function readAction(given: Arguments): QueueAction | ControlOutcome {
  const kind = given.choice('action', actions)
  const note = given.optionalText('note') ?? ''
  const smarthost = given.optionalText('smarthost')
  if (kind === undefined) return failed('invalid', '"action" is missing', `give one of ${actions.join(', ')}`)
  if (kind === 'hold') return { kind, note: note.slice(0, 500) }
  if (kind !== 'reroute') return { kind }
  const parsed = smarthost === undefined ? null : parseSmarthost(smarthost)
  if (smarthost === undefined || parsed?.ok !== true)
    return failed(
      'invalid',
      parsed?.ok === false ? parsed.why : 'a smarthost is missing',
      'give it as host:port or smtps://host:port, for instance relay.example.com:25',
    )
  return { kind, smarthost }
}

/** @param asGiven the filter in the operator's words, for the log */
async function act(
  ports: Ports,
  filter: QueueFilter,
  action: QueueAction,
  { item, signal }: ControlCall,
  asGiven: Readonly<Record<string, unknown>>,
): Promise<ControlOutcome> {
  const { queue, threads, clock, log } = ports
  // Gone while it waited for its turn: a recall would stop all leasing for nobody.
  if (signal.aborted) return brokenOff(action, 0)
  let acted = 0
  let inFlight = 0
  let cursor: string | null = ''
  const tell = teller(item)
  try {
    const recalled = await threads.recall()
    const count = await queue.count(filter)
    inFlight = count.leased
    const total = reach(action, count)
    const nowMs = clock.nowMs()
    tell({ done: acted, total })
    while (cursor !== null && !signal.aborted) {
      const step: ActionStep = await queue.act(filter, action, nowMs, stepRecipients, cursor)
      cursor = step.cursor
      if (step.done === 0) continue
      acted += step.done
      tell({ done: acted, total })
    }
    return cursor === null
      ? done({ action: action.kind, done: acted, inFlight, recalled })
      : brokenOff(action, acted)
  } finally {
    threads.wake()
    log.event('operator.action', {
      command: 'queue.act',
      ...toldOf(action),
      filter: asGiven,
      done: acted,
      inFlight,
      isWhole: cursor === null,
    })
  }
}

function brokenOff({ kind }: QueueAction, acted: number): ControlOutcome {
  return failed(
    'cancelled',
    `the client has gone before "${kind}" was through: it was done to ${acted} recipients`,
    'keep your side open until the result has come',
  )
}

/**
 * Progress is advice: while one item waits for a client that does not read, further ones are left out. Waiting for him would
 * keep all leasing from going on.
 */
function teller(item: ControlCall['item']): (progress: unknown) => void {
  let isTelling = false
  return progress => {
    if (isTelling) return
    isTelling = true
    void item(progress).then(() => {
      isTelling = false
    })
  }
}

function toldOf(action: QueueAction): LogFields {
  const { kind, ...rest } = action
  return { action: kind, ...rest }
}

/** How many of those that match an action concerns. */
function reach(action: QueueAction, count: { readonly scheduled: number; readonly held: number }): number {
  if (action.kind === 'release') return count.held
  return action.kind === 'hold' || action.kind === 'retry' ? count.scheduled : count.scheduled + count.held
}

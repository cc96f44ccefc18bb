// Holds what a server did over its kills, or after a power cut, against what was sent: event log, receiver and ledger.
//
//   - nothing is lost: each recipient of each message in the log, and of each that was acknowledged, has one end;
//   - it is the right one: `gone…` was refused for good, all others were delivered, nobody expired;
//   - a delivery in the log did reach the receiver, and what the receiver has is in the log;
//   - between two arrivals of one recipient lies a kill that found him in flight, and an event says `isUncertain`.
// Pure: everything is handed in.

import type { ShownEvent } from '../scenario/support/house.ts'
import type { Arrival } from './receiver.ts'

/** A kill, as it was found afterwards. */
export interface Kill {
  /** When the process was gone. */
  readonly atMs: number
  /** Sessions that the receiver had seen by then: later ones are of a later life. */
  readonly sessions: number
  /** `<id>.<number>` of the marks that lay in the data folder. Some may be of outcomes that had been committed. */
  readonly marked: ReadonlySet<string>
}

/** What is held against each other. */
export interface Evidence {
  /** Ids that were read in a `250`, with their recipients; null: only the id is known. */
  readonly acknowledged: ReadonlyMap<string, readonly string[] | null>
  readonly events: readonly ShownEvent[]
  readonly arrivals: readonly Arrival[]
  readonly kills: readonly Kill[]
  /** `<id> <recipient>` that had come before the power cut, from which nothing is known of marks. */
  readonly arrivedBefore?: ReadonlySet<string>
}

/** What was acknowledged and became of it; of all: deferrals, kills in flight, arrivals beyond the first. */
export interface JudgedCounts {
  readonly recipients: number
  readonly delivered: number
  readonly bounced: number
  readonly deferred: number
  /** Recipients whose end of data had left at a kill and whose outcome was not committed, over all kills. */
  readonly inFlight: number
  readonly duplicates: number
}

const finalTypes = ['delivered', 'bounced', 'expired']

/** True when every recipient of every message in the log has come to its end. */
export function isSettled(events: readonly ShownEvent[]): boolean {
  const { paths, ends } = readLog(events)
  for (const [id, to] of paths) for (const number of to.keys()) if (!ends.has(`${id}.${number}`)) return false
  return true
}

/** What must become of a recipient: its name says what the receiver does. */
export function endOf(path: string): 'delivered' | 'bounced' {
  return path.startsWith('gone') ? 'bounced' : 'delivered'
}

/** All that is wrong, and how much there was of what. */
export function judge(evidence: Evidence): { readonly wrong: string[]; readonly counts: JudgedCounts } {
  const log = readLog(evidence.events)
  const kills = evidence.kills.map(kill => ({ ...kill, inFlight: inFlightAt(kill, log) }))
  const arrivals = sessionsOf(evidence.arrivals, log)
  const wrong = [
    ...wrongEnds(evidence, log, arrivals),
    ...wrongArrivals(evidence.arrivals, log),
    ...unexplained(arrivals, kills, log),
  ]
  let duplicates = 0
  for (const sessions of arrivals.values()) duplicates += sessions.length - 1
  const counts = { recipients: 0, delivered: 0, bounced: 0, deferred: log.deferred, duplicates }
  for (const id of evidence.acknowledged.keys())
    for (const path of log.paths.get(id) ?? []) {
      counts.recipients++
      counts[endOf(path)]++
    }
  return {
    wrong,
    counts: { ...counts, inFlight: kills.reduce((sum, { inFlight }) => sum + inFlight.size, 0) },
  }
}

interface Log {
  /** Recipients by id. */
  readonly paths: ReadonlyMap<string, readonly string[]>
  /** Final events by `<id>.<number>`. */
  readonly ends: ReadonlyMap<string, readonly ShownEvent[]>
  /** `<id>.<number>` of which an outcome says that it is uncertain. */
  readonly uncertain: ReadonlySet<string>
  readonly deferred: number
}

function readLog(events: readonly ShownEvent[]): Log {
  const paths = new Map<string, readonly string[]>()
  const ends = new Map<string, ShownEvent[]>()
  const uncertain = new Set<string>()
  let deferred = 0
  for (const event of events) {
    if (event.type === 'accepted') paths.set(event.messageId!, event.forwardPaths ?? [])
    if (event.type === 'deferred') deferred++
    if (event.outcome?.isUncertain === true) uncertain.add(event.recipientId!)
    if (finalTypes.includes(event.type))
      ends.set(event.recipientId!, [...(ends.get(event.recipientId!) ?? []), event])
  }
  return { paths, ends, uncertain, deferred }
}

/** Marks are cleared with the next one, so some are left of recipients whose end was in the log already. */
function inFlightAt({ atMs, marked }: Kill, { ends }: Log): Set<string> {
  const hadEnded = (key: string): boolean => ends.get(key)?.some(({ at }) => Date.parse(at) <= atMs) === true
  return new Set([...marked].filter(key => !hadEnded(key)))
}

/** By `<id>.<number>`: the session of each arrival, in order. */
function sessionsOf(arrivals: readonly Arrival[], { paths }: Log): Map<string, number[]> {
  const sessions = new Map<string, number[]>()
  for (const { id, to, session } of arrivals)
    for (const path of to) {
      const key = `${id}.${paths.get(id)?.indexOf(path)}`
      sessions.set(key, [...(sessions.get(key) ?? []), session])
    }
  return sessions
}

function wrongEnds(
  { acknowledged, arrivedBefore }: Evidence,
  { paths, ends }: Log,
  arrivals: ReadonlyMap<string, unknown>,
): string[] {
  const wrong: string[] = []
  for (const [id, to] of acknowledged) {
    const logged = paths.get(id)
    if (logged === undefined) wrong.push(`${id} was acknowledged and is lost`)
    else if (to !== null && to.join() !== logged.join())
      wrong.push(`${id} is to ${logged} in the log, not to ${to}`)
  }
  // Also of what was taken and never acknowledged.
  for (const [id, to] of paths)
    for (const [number, path] of to.entries()) {
      const key = `${id}.${number}`
      const [end, ...more] = ends.get(key) ?? []
      if (more.length > 0) wrong.push(`${key} has ${more.length + 1} ends in the log`)
      if (end === undefined)
        wrong.push(`${key} was ${acknowledged.has(id) ? 'acknowledged' : 'accepted'} and is lost`)
      else if (end.type !== endOf(path)) wrong.push(`${key} to ${path} is ${end.type}`)
      else if (end.type === 'delivered' && !arrivals.has(key) && arrivedBefore?.has(`${id} ${path}`) !== true)
        wrong.push(`${key} is said to be delivered and never came`)
    }
  return wrong
}

function wrongArrivals(arrivals: readonly Arrival[], { paths }: Log): string[] {
  const unknown = arrivals.filter(({ id, to }) => to.some(path => paths.get(id)?.includes(path) !== true))
  return unknown.map(({ id, to }) => `${id} came to ${to}, which the log does not know`)
}

/** Arrivals beyond the first that no kill explains, or that nobody was told of. */
function unexplained(
  arrivals: ReadonlyMap<string, readonly number[]>,
  kills: readonly { readonly sessions: number; readonly inFlight: ReadonlySet<string> }[],
  { uncertain }: Log,
): string[] {
  const wrong: string[] = []
  for (const [key, sessions] of arrivals) {
    if (sessions.length === 1) continue
    for (const [at, session] of sessions.slice(1).entries()) {
      const before = sessions[at]!
      const isExplained = kills.some(
        kill => before <= kill.sessions && kill.sessions < session && kill.inFlight.has(key),
      )
      if (!isExplained) wrong.push(`${key} came again, and no kill in between found it in flight`)
    }
    if (!uncertain.has(key)) wrong.push(`${key} came ${sessions.length} times and is not marked uncertain`)
  }
  return wrong
}

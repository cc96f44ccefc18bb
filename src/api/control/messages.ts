// Control commands about messages: what became of one, and which there are.
//
// Place on the path: after it. What is still waiting is in the queue's tables, what has ended only in the event log:
// `message.show` puts both together, so that the answer has one shape before and after the last delivery.
// `message.show` sends recipients and events as items (a message may have thousands) and the rest as its result.

import type { AccountReader } from '../../accounts/index.ts'
import { formatMessageId, parseId } from '../../base/index.ts'
import {
  type AcceptedFacts,
  eventJson,
  instant,
  type StoredEvent,
  unpackAccepted,
} from '../../events/index.ts'
import type { MessageRow, QueueRow } from '../../queue/index.ts'
import type { ControlCall, ControlCommands } from './command.ts'
import { eventNames } from './events.ts'
import type { ControlPorts } from './ports.ts'
import { notAnId, readFilter } from './queue-filter.ts'
import { recipientsOf } from './recipients-of.ts'
import { type ControlOutcome, done, failed } from './wire.ts'

type Ports = Pick<ControlPorts, 'accounts' | 'accountService' | 'events' | 'queue'>

/** More events of one message than this are not shown. */
const eventsMax = 50_000
/** How far back in the log `message.list` looks for messages that are done. */
const tailEvents = 5000

/** A row of `message list`. */
export interface MessageListRow {
  readonly id: string
  /** Name of the account. */
  readonly account: string | null
  readonly reversePath: string
  readonly acceptedAt: string
  readonly sizeBytes: number
  /** 0: nothing is left to send. */
  readonly openRecipients: number
}

/** `message.show`, `message.list`. */
export function messageCommands(ports: Ports): ControlCommands {
  return {
    'message.show': async (given, call) => {
      const text = given.text('message')
      if (given.problem !== null) return given.problem
      const id = parseId('msg', text)
      return id === null
        ? notAnId(text, 'message', 'msg_ and 26 characters')
        : await showMessage(ports, id, call)
    },

    'message.list': async given => {
      const filter = readFilter(given, ports.accountService)
      const limit = given.whole('limit', [1, 1000]) ?? 50
      const cursor = given.cursor()
      const isOpenOnly = given.flag('open', false)
      if (given.problem !== null) return given.problem
      if (!filter.ok) return filter
      // Before the queue is read: what is accepted in between is in neither then, instead of looking done.
      const untilSeq = ports.events.lastSeq()
      const page = await ports.queue.messages(filter.filter, cursor, limit)
      const open = page.rows.map(row => messageListRow(ports.accounts, row))
      // A page of the queue, or a filter that only the queue knows, has nothing to do with what is done.
      const { domain, state, messageId } = filter.filter
      const isQueueOnly =
        isOpenOnly || cursor !== '' || [domain, state, messageId].some(one => one !== undefined)
      if (isQueueOnly) return done({ items: open, cursor: page.cursor })
      const finished = finishedMessages(ports, open, page.cursor !== null, filter.filter.accountKey, untilSeq)
      const { items, openCount } = merge(open, finished, limit)
      if (openCount === open.length) return done({ items, cursor: page.cursor })
      // What of the queue gave way to what is done comes first on the next page.
      const shown = await ports.queue.messages(filter.filter, '', openCount)
      return done({ items, cursor: shown.cursor })
    },
  }
}

async function showMessage(ports: Ports, id: Buffer, { item }: ControlCall): Promise<ControlOutcome> {
  const events = ports.events.ofMessage(id, eventsMax)
  // Read after the events: a recipient that ends in between is then missing here, but never shown twice as open.
  const row = await ports.queue.message(id)
  const open = row === null ? [] : await openRows(ports, id)
  const late = row === null ? [] : ports.events.ofMessage(id, eventsMax)
  const all = late.length > events.length ? late : events
  const accepted = acceptedFacts(all)
  const messageId = formatMessageId(id)
  if (row === null && accepted === null)
    return failed(
      'not-found',
      `there is no message ${messageId}`,
      'events are kept 30 days: postrider message list',
    )
  const forwardPaths = accepted?.forwardPaths ?? []
  for (const recipient of recipientsOf(messageId, forwardPaths, open, all)) await item({ recipient })
  const names = eventNames(ports.accounts)
  for (const event of all) await item({ event: eventJson(event, names) })
  const accountKey = row?.accountKey ?? all[0]?.accountKey ?? 0
  const account = ports.accounts.accountByKey(accountKey)
  return done({
    id: messageId,
    account: account?.name ?? null,
    accountId: account?.id ?? null,
    reversePath: row?.reversePath ?? accepted?.reversePath ?? '',
    acceptedAt: instant(row?.acceptedAtMs ?? all[0]?.atMs ?? 0),
    expiresAt: row === null ? null : instant(row.expiresAtMs),
    sizeBytes: row?.sizeBytes ?? accepted?.sizeBytes ?? 0,
    isTruncated: all.length >= eventsMax,
  })
}

async function openRows(ports: Ports, messageId: Buffer): Promise<QueueRow[]> {
  const rows: QueueRow[] = []
  let cursor: string | null = ''
  do {
    const page: Awaited<ReturnType<Ports['queue']['list']>> = await ports.queue.list(
      { messageId },
      cursor,
      1000,
    )
    rows.push(...page.rows)
    cursor = page.cursor
  } while (cursor !== null)
  return rows
}

function acceptedFacts(events: readonly StoredEvent[]): AcceptedFacts | null {
  const accepted = events.find(event => event.type === 'accepted')
  if (accepted === undefined) return null
  try {
    return unpackAccepted(accepted.facts)
  } catch {
    // A damaged event: the rest of the story is still worth telling.
    return null
  }
}

function messageListRow(accounts: AccountReader, row: MessageRow): MessageListRow {
  return {
    id: formatMessageId(row.id),
    account: accounts.accountByKey(row.accountKey)?.name ?? null,
    reversePath: row.reversePath,
    acceptedAt: instant(row.acceptedAtMs),
    sizeBytes: row.sizeBytes,
    openRecipients: row.openRecipients,
  }
}

/**
 * The messages of the log's tail that have nothing left to send, newest first.
 * @param open what of the queue is shown, newest first
 * @param isMoreOpen the queue has more, older than these: of that age nobody can tell here what is done
 */
function finishedMessages(
  ports: Ports,
  open: readonly MessageListRow[],
  isMoreOpen: boolean,
  accountKey: number | undefined,
  untilSeq: number,
): MessageListRow[] {
  const { accounts, events } = ports
  const openIds = new Set(open.map(row => row.id))
  const after = isMoreOpen ? (open.at(-1)?.acceptedAt ?? '') : ''
  const rows: MessageListRow[] = []
  for (const event of events.list(Math.max(0, untilSeq - tailEvents), tailEvents)) {
    if (event.seq > untilSeq) break
    if (event.type !== 'accepted' || event.messageId === null) continue
    if (accountKey !== undefined && event.accountKey !== accountKey) continue
    const id = formatMessageId(event.messageId)
    const acceptedAt = instant(event.atMs)
    const facts = acceptedFacts([event])
    if (openIds.has(id) || acceptedAt <= after || facts === null) continue
    rows.push({
      id,
      account: accounts.accountByKey(event.accountKey)?.name ?? null,
      reversePath: facts.reversePath,
      acceptedAt,
      sizeBytes: facts.sizeBytes,
      openRecipients: 0,
    })
  }
  // Ids hold the time in their first characters, but base32 puts digits after letters: sort by time.
  return rows.sort((a, b) => (a.acceptedAt < b.acceptedAt ? 1 : a.acceptedAt > b.acceptedAt ? -1 : 0))
}

/**
 * Both by time, newest first, at most `limit`. Those of the queue keep their order, and one of them is always there while
 * the queue has any: pages go on behind it.
 */
function merge(
  open: readonly MessageListRow[],
  finished: readonly MessageListRow[],
  limit: number,
): { readonly items: readonly MessageListRow[]; readonly openCount: number } {
  const items: MessageListRow[] = []
  let openCount = 0
  while (items.length < limit) {
    const nextOpen = open[openCount]
    const nextFinished = finished[items.length - openCount]
    if (nextOpen === undefined && nextFinished === undefined) break
    const isLastChance = openCount === 0 && items.length === limit - 1
    const isOpenNext =
      nextFinished === undefined ||
      (nextOpen !== undefined && (isLastChance || nextOpen.acceptedAt >= nextFinished.acceptedAt))
    items.push(isOpenNext ? nextOpen! : nextFinished)
    if (isOpenNext) openCount++
  }
  return { items, openCount }
}

// Leases due recipients: fair between accounts, urgent lanes first, then by due time. Inside the caller's transaction.
//
// 1. Ask the hints which accounts may have due work, the one after the last served first.
// 2. Share the room evenly; go round until the room is full or no account has more, or may have more.
// 3. Inside an account walk the lanes from 0 to 9, each by due time: one statement marks and returns the rows.
// 4. Group the rows by message and read each message once.

import type { LeasedMessage, LeasedRecipient, LeaseShares, StoredContent } from '../../queue/index.ts'
import {
  asBuffer,
  messageKeyOf,
  numberOf,
  readEnvelope,
  readHead,
  recipientFlags,
  stateCodes,
  unpackExtents,
} from '../format/index.ts'
import type { ClockJumps } from './clock-jumps.ts'
import { type Database, damagedDatabase, type Statement } from './database.ts'
import type { DueHints } from './due-hints.ts'

type LeaseRow = [
  key: number,
  attempts: number,
  flags: number,
  domain: string,
  head: Uint8Array,
  route: string | null,
]

type MessageColumns = [
  id: Uint8Array,
  accountKey: number,
  streamKey: number,
  acceptedAtMs: number,
  expiresAtMs: number,
  priority: number,
  sizeBytes: number,
  recipientCount: number,
  envelope: Uint8Array,
]

const unshared: LeaseShares = { each: Number.POSITIVE_INFINITY, less: new Map() }

/** Serves leases. */
export class Leaser {
  readonly #hints: DueHints
  readonly #node: number
  readonly #jumps: ClockJumps
  readonly #path: string
  readonly #accounts: Statement
  readonly #lane: Statement
  readonly #take: Statement
  readonly #message: Statement
  readonly #extents: Statement
  #lastServed = 0

  constructor(db: Database, hints: DueHints, node: number, jumps: ClockJumps) {
    this.#jumps = jumps
    this.#path = db.path
    this.#hints = hints
    this.#node = node
    const { scheduled, leased } = stateCodes
    this.#accounts = db.prepare(
      `SELECT account_key FROM recipient WHERE state = ${scheduled} AND account_key > ? ORDER BY account_key LIMIT 1`,
    )
    this.#lane = db.prepare(
      `SELECT priority, next_at_ms FROM recipient WHERE state = ${scheduled} AND account_key = ? AND priority >= ?` +
        ' ORDER BY priority, next_at_ms LIMIT 1',
    )
    this.#take = db.prepare(
      `UPDATE recipient SET state = ${leased}, node = ? WHERE key IN (SELECT key FROM recipient WHERE state = ${scheduled}` +
        ' AND account_key = ? AND priority = ? AND next_at_ms <= ? ORDER BY next_at_ms LIMIT ?)' +
        ' RETURNING key, attempts, flags, domain, head, route',
    )
    this.#message = db.prepare(
      'SELECT id, account_key, stream_key, accepted_at_ms, expires_at_ms, priority, size_bytes, recipient_count,' +
        ' envelope FROM message WHERE key = ?',
    )
    this.#extents = db.prepare('SELECT extents FROM segment_content WHERE message_key = ?')
    this.rescan()
  }

  /** Forgets the hints: after start and after a rollback every account with scheduled rows is looked at again. */
  rescan(): void {
    let after = Number.MIN_SAFE_INTEGER
    for (;;) {
      const row = this.#accounts.get(after) as unknown as [number] | undefined
      if (row === undefined) return
      after = row[0]
      this.#hints.note(after, 0)
    }
  }

  /** Marks at most `recipientsMax` due recipients as leased and returns them by message. */
  lease(recipientsMax: number, nowMs: number, shares: LeaseShares = unshared): LeasedMessage[] {
    const rows: LeaseRow[] = []
    const left = new Map(shares.less)
    const leftOf = (account: number): number => left.get(account) ?? shares.each
    let accounts = this.#hints.due(nowMs, this.#lastServed).filter(account => leftOf(account) > 0)
    while (accounts.length > 0 && rows.length < recipientsMax) {
      // Rounded down, so that all get something before any gets the rest in a further round.
      const share = Math.max(1, Math.floor((recipientsMax - rows.length) / accounts.length))
      const withMore: number[] = []
      for (const account of accounts) {
        const before = rows.length
        const room = Math.min(share, leftOf(account), recipientsMax - before)
        if (room === 0) break
        this.#lastServed = account
        const hasMore = this.#takeFrom(account, room, nowMs, rows)
        left.set(account, leftOf(account) - (rows.length - before))
        if (hasMore && leftOf(account) > 0) withMore.push(account)
      }
      accounts = withMore
    }
    return this.#group(rows)
  }

  /** Takes up to `room` rows of one account. @returns true when there may be more. */
  #takeFrom(account: number, room: number, nowMs: number, into: LeaseRow[]): boolean {
    let left = room
    let lane = 0
    let nextDueAtMs: number | null = null
    for (;;) {
      const first = this.#lane.get(account, lane) as unknown as [number, number] | undefined
      if (first === undefined) break
      lane = first[0]
      if (first[1] > nowMs) {
        if (nextDueAtMs === null || first[1] < nextDueAtMs) nextDueAtMs = first[1]
        lane++
        continue
      }
      if (left === 0) return true
      const taken = this.#take.all(this.#node, account, lane, nowMs, left) as unknown as LeaseRow[]
      // Asked again, such an index would name the same rows again, for ever.
      if (taken.length === 0)
        throw damagedDatabase(this.#path, 'its index of due recipients names rows that are not there')
      for (const row of taken) into.push(row)
      left -= taken.length
    }
    this.#hints.set(account, nextDueAtMs)
    return false
  }

  #group(rows: readonly LeaseRow[]): LeasedMessage[] {
    const byMessage = new Map<number, LeasedRecipient[]>()
    for (const row of rows) {
      const recipient = toRecipient(row)
      const key = messageKeyOf(row[0])
      const known = byMessage.get(key)
      if (known === undefined) byMessage.set(key, [recipient])
      else known.push(recipient)
    }
    const messages: LeasedMessage[] = []
    for (const [key, recipients] of byMessage) {
      recipients.sort((a, b) => a.number - b.number)
      messages.push(this.#read(key, recipients))
    }
    return messages
  }

  #read(key: number, recipients: readonly LeasedRecipient[]): LeasedMessage {
    const row = this.#message.get(key) as unknown as MessageColumns | undefined
    if (row === undefined) throw new Error(`recipients of message ${key} without their message`)
    const { contentSizeBytes, isInSegments, ...rest } = readEnvelope(row[8])
    const content: StoredContent = isInSegments
      ? { kind: 'segments', extents: this.#extentsOf(key), sizeBytes: contentSizeBytes }
      : { kind: 'inline', sizeBytes: contentSizeBytes }
    return {
      ...rest,
      key,
      content,
      recipients,
      id: asBuffer(row[0]),
      accountKey: row[1],
      streamKey: row[2],
      acceptedAtMs: row[3],
      expiresAtMs: row[4] + this.#jumps.expiryShiftMs(key),
      priority: row[5],
      sizeBytes: row[6],
      recipientCount: row[7],
      prefix: null,
    }
  }

  #extentsOf(key: number): ReturnType<typeof unpackExtents> {
    const row = this.#extents.get(key) as unknown as [Uint8Array] | undefined
    return row === undefined ? [] : unpackExtents(row[0])
  }
}

function toRecipient(row: LeaseRow): LeasedRecipient {
  const [key, attempts, flags, domain, head, route] = row
  return {
    number: numberOf(key),
    domain,
    ...readHead(head),
    attempts,
    route: route ?? '',
    isDelayNotified: (flags & recipientFlags.delayNotified) !== 0,
    isUncertain: (flags & recipientFlags.uncertain) !== 0,
  }
}

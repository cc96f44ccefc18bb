// Reads the event log on a read-only connection. Every call is one statement that ends before it returns.

import { type EventReader, type EventType, eventTypes, type StoredEvent } from '../../events/index.ts'
import { asBuffer } from '../format/index.ts'
import type { Database, Statement } from './database.ts'

const columns = 'seq, type, at_ms, account_key, stream_key, node, message_id, recipient_number, facts'

type EventRow = [
  seq: number,
  type: number,
  atMs: number,
  accountKey: number,
  streamKey: number,
  node: number,
  messageId: Uint8Array | null,
  recipientNumber: number,
  facts: Uint8Array | null,
]

const names = new Map<number, EventType>(
  (Object.entries(eventTypes) as [EventType, number][]).map(([name, number]) => [number, name]),
)

export class SqliteEventReader implements EventReader {
  readonly #list: Statement
  readonly #ofMessage: Statement
  readonly #last: Statement

  constructor(db: Database) {
    this.#list = db.prepare(`SELECT ${columns} FROM event WHERE seq > ? ORDER BY seq LIMIT ?`)
    this.#ofMessage = db.prepare(`SELECT ${columns} FROM event WHERE message_id = ? ORDER BY seq LIMIT ?`)
    this.#last = db.prepare('SELECT max(seq) FROM event')
  }

  list(afterSeq: number, limit: number): StoredEvent[] {
    return (this.#list.all(afterSeq, limit) as unknown as EventRow[]).map(toEvent)
  }

  ofMessage(messageId: Buffer, limit: number): StoredEvent[] {
    return (this.#ofMessage.all(messageId, limit) as unknown as EventRow[]).map(toEvent)
  }

  lastSeq(): number {
    return (this.#last.get() as unknown as [number | null])[0] ?? 0
  }
}

function toEvent(row: EventRow): StoredEvent {
  const type = names.get(row[1])
  if (type === undefined) throw new Error(`event ${row[0]} has the unknown type ${row[1]}`)
  return {
    seq: row[0],
    type,
    atMs: row[2],
    accountKey: row[3],
    streamKey: row[4],
    node: row[5],
    messageId: row[6] === null ? null : asBuffer(row[6]),
    recipientNumber: row[7],
    facts: asBuffer(row[8]),
  }
}

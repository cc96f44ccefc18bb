// What a restore would bring back to send: read from the backup itself, before anything is changed.

import type { QueueRow } from '../../queue/index.ts'
import type { Database } from '../sqlite/database.ts'
import { type Page, QueueReader } from '../sqlite/queue-reader.ts'
import { openBackup, readManifest } from './restore.ts'

/** Recipients of one domain. */
export interface DomainCount {
  readonly domain: string
  readonly recipients: number
}

/** The preview while its backup is open. */
export class RestorePreview implements Disposable {
  /** RFC 3339. */
  readonly createdAt: string
  readonly messages: number
  readonly recipients: number
  /** Milliseconds since 1970 when the oldest and newest waiting message were accepted; 0 when none waits. */
  readonly oldestAcceptedAtMs: number
  readonly newestAcceptedAtMs: number
  readonly #db: Database

  private constructor(db: Database, createdAt: string) {
    this.#db = db
    this.createdAt = createdAt
    const [messages, oldest, newest] = db
      .prepare('SELECT count(*), min(accepted_at_ms), max(accepted_at_ms) FROM message')
      .get() as unknown as [number, number | null, number | null]
    const [recipients] = db.prepare('SELECT count(*) FROM recipient').get() as unknown as [number]
    this.messages = messages
    this.recipients = recipients
    this.oldestAcceptedAtMs = oldest ?? 0
    this.newestAcceptedAtMs = newest ?? 0
  }

  /** Opens a backup. Throws StoreError. */
  static open(source: string): RestorePreview {
    const { createdAt } = readManifest(source)
    return new RestorePreview(openBackup(source), createdAt)
  }

  /** The domains with the most waiting recipients, largest first. */
  domains(limit: number): DomainCount[] {
    const rows = this.#db
      .prepare('SELECT domain, count(*) AS n FROM recipient GROUP BY domain ORDER BY n DESC, domain LIMIT ?')
      .all(limit) as unknown as [string, number][]
    return rows.map(([domain, recipients]) => ({ domain, recipients }))
  }

  /** The waiting recipients, page by page. */
  list(cursor: string, limit: number): Promise<Page<QueueRow>> {
    return new QueueReader(this.#db).list({}, cursor, limit)
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

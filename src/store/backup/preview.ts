// What a restore would bring back to send: read from the backup itself, before anything is changed.

import { segmentDir } from '../segments/index.ts'
import type { Database } from '../sqlite/database.ts'
import { type LackingContents, lackingContents } from './contents.ts'
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
  readonly lacking: LackingContents
  readonly #db: Database

  private constructor(db: Database, source: string) {
    this.#db = db
    this.createdAt = readManifest(source).createdAt
    this.lacking = lackingContents(db, segmentDir(source))
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
    return new RestorePreview(openBackup(source), source)
  }

  /** The domains with the most waiting recipients, largest first. */
  domains(limit: number): DomainCount[] {
    const rows = this.#db
      .prepare('SELECT domain, count(*) AS n FROM recipient GROUP BY domain ORDER BY n DESC, domain LIMIT ?')
      .all(limit) as unknown as [string, number][]
    return rows.map(([domain, recipients]) => ({ domain, recipients }))
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

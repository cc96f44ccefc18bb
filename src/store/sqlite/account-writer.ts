// Changes accounts, inside the caller's transaction (one commit a call). Uniqueness is asked before inserting, which is
// safe because there is one writer.
//
// Place: off the path of mail, in the store thread. What it stored is in force once every thread has called `forget()`.

import type { Account, Credential, Domain, DomainKey, Stream } from '../../accounts/index.ts'
import { credentialColumns, domainColumns, domainKeyColumns, streamColumns } from './account-rows.ts'
import type { Database } from './database.ts'

type Value = string | number | Uint8Array | null

export class AccountWriter {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** Also makes the account's first stream. */
  createAccount(
    account: Omit<Account, 'key'>,
    stream: Omit<Stream, 'key' | 'accountKey'>,
  ): Account | 'exists' {
    const { id, name, createdAtMs } = account
    if (this.#has('SELECT 1 FROM account WHERE name = ? OR id = ?', name, id)) return 'exists'
    const key = this.#insert('account', 'id, name, created_at_ms', [id, name, createdAtMs])
    this.#insert('stream', withoutKey(streamColumns), [
      stream.id,
      key,
      stream.name,
      stream.kind,
      stream.failureReport,
      stream.priority,
    ])
    return { key, ...account }
  }

  createCredential(credential: Omit<Credential, 'key'>): Credential | 'exists' {
    const { id, kind, username, secretHash } = credential
    const isTaken =
      this.#has('SELECT 1 FROM credential WHERE id = ? OR secret_hash = ?', id, secretHash) ||
      (kind === 'smtp' &&
        this.#has("SELECT 1 FROM credential WHERE username = ? AND kind = 'smtp'", username))
    if (isTaken) return 'exists'
    const key = this.#insert('credential', withoutKey(credentialColumns), [
      id,
      credential.accountKey,
      credential.streamKey,
      kind,
      username,
      secretHash,
      credential.longLines,
      credential.bareLf,
      credential.createdAtMs,
      credential.revokedAtMs,
    ])
    return { key, ...credential }
  }

  /** @returns false when there is none, or it was revoked before. */
  revokeCredential(key: number, atMs: number): boolean {
    return this.#change(
      'UPDATE credential SET revoked_at_ms = ? WHERE key = ? AND revoked_at_ms IS NULL',
      atMs,
      key,
    )
  }

  createDomain(
    domain: Omit<Domain, 'key'>,
    keys: readonly Omit<DomainKey, 'key' | 'domainKey'>[],
  ): Domain | 'exists' {
    const { id, accountKey, name, status, signs, createdAtMs } = domain
    if (this.#has('SELECT 1 FROM domain WHERE account_key = ? AND name = ?', accountKey, name))
      return 'exists'
    const key = this.#insert('domain', withoutKey(domainColumns), [
      id,
      accountKey,
      name,
      status,
      signs ? 1 : 0,
      createdAtMs,
    ])
    for (const one of keys)
      this.#insert('domain_key', withoutKey(domainKeyColumns), [
        one.id,
        key,
        one.selector,
        one.algorithm,
        one.encryptedPrivateKey,
        one.publicRecord,
        one.status,
        one.createdAtMs,
      ])
    return { key, ...domain }
  }

  setDomainStatus(key: number, status: Domain['status']): boolean {
    return this.#change('UPDATE domain SET status = ? WHERE key = ?', status, key)
  }

  updateStream(key: number, change: Partial<Pick<Stream, 'kind' | 'failureReport' | 'priority'>>): boolean {
    return this.#change(
      'UPDATE stream SET kind = coalesce(?, kind), failure_report = coalesce(?, failure_report),' +
        ' priority = coalesce(?, priority) WHERE key = ?',
      change.kind ?? null,
      change.failureReport ?? null,
      change.priority ?? null,
      key,
    )
  }

  #has(sql: string, ...values: Value[]): boolean {
    return this.#db.prepare(sql).get(...values) !== undefined
  }

  #change(sql: string, ...values: Value[]): boolean {
    return Number(this.#db.prepare(sql).run(...values).changes) > 0
  }

  #insert(table: string, columns: string, values: readonly Value[]): number {
    const places = values.map(() => '?').join(', ')
    const sql = `INSERT INTO ${table} (${columns}) VALUES (${places})`
    return Number(this.#db.prepare(sql).run(...values).lastInsertRowid)
  }
}

function withoutKey(columns: string): string {
  return columns.replace(/^key, /, '')
}

// Reads who may send as whom, from memory: each answer is cached until `forget()`, which every thread calls before a
// change is reported done.
//
// What was not found is not cached (guessed user names must not fill memory), but for domains: those are asked for by
// identified clients only, and a relay network that sends for foreign domains asks with every message.

import type { Account, AccountReader, Credential, Domain, DomainKey, Stream } from '../../accounts/index.ts'
import {
  accountColumns,
  credentialColumns,
  domainColumns,
  domainKeyColumns,
  streamColumns,
  toAccount,
  toCredential,
  toDomain,
  toDomainKey,
  toStream,
} from './account-rows.ts'
import type { Database, Statement } from './database.ts'

/** Entries of one kind in memory; then that kind is read anew. */
const cachedMax = 10_000

type Parameter = string | number | Uint8Array

/** One query with its memory. */
class Lookup<T> {
  readonly #statement: Statement
  readonly #read: (row: readonly unknown[]) => T
  readonly #cache = new Map<string, T | null>()
  readonly #remembersMissing: boolean

  constructor(
    db: Database,
    sql: string,
    read: (row: readonly unknown[]) => T,
    remembersMissing: boolean = false,
  ) {
    this.#statement = db.prepare(sql)
    this.#read = read
    this.#remembersMissing = remembersMissing
  }

  /** The one row. @param name what identifies the parameters. */
  one(name: string, ...parameters: Parameter[]): T | null {
    const known = this.#cache.get(name)
    if (known !== undefined) return known
    const row = this.#statement.get(...parameters) as unknown as unknown[] | undefined
    if (row === undefined && !this.#remembersMissing) return null
    if (this.#cache.size >= cachedMax) this.#cache.clear()
    const value = row === undefined ? null : this.#read(row)
    this.#cache.set(name, value)
    return value
  }

  /** All rows, not cached. */
  all(...parameters: Parameter[]): T[] {
    return (this.#statement.all(...parameters) as unknown as unknown[][]).map(row => this.#read(row))
  }

  forget(): void {
    this.#cache.clear()
  }
}

export class SqliteAccountReader implements AccountReader {
  readonly #byKey: Lookup<Account>
  readonly #byName: Lookup<Account>
  readonly #byId: Lookup<Account>
  readonly #accounts: Lookup<Account>
  readonly #byUsername: Lookup<Credential>
  readonly #byHash: Lookup<Credential>
  readonly #credentials: Lookup<Credential>
  readonly #stream: Lookup<Stream>
  readonly #defaultStream: Lookup<Stream>
  readonly #streams: Lookup<Stream>
  readonly #domain: Lookup<Domain>
  readonly #domains: Lookup<Domain>
  readonly #keys: Lookup<DomainKey>
  readonly #keyLists = new Map<number, DomainKey[]>()
  readonly #all: readonly Lookup<unknown>[]

  constructor(db: Database) {
    const account = `SELECT ${accountColumns} FROM account`
    const credential = `SELECT ${credentialColumns} FROM credential`
    const stream = `SELECT ${streamColumns} FROM stream`
    const domain = `SELECT ${domainColumns} FROM domain`
    this.#byKey = new Lookup(db, `${account} WHERE key = ?`, toAccount)
    this.#byName = new Lookup(db, `${account} WHERE name = ?`, toAccount)
    this.#byId = new Lookup(db, `${account} WHERE id = ?`, toAccount)
    this.#accounts = new Lookup(db, `${account} ORDER BY key`, toAccount)
    this.#byUsername = new Lookup(
      db,
      `${credential} WHERE username = ? AND kind = 'smtp' AND revoked_at_ms IS NULL`,
      toCredential,
    )
    this.#byHash = new Lookup(
      db,
      `${credential} WHERE secret_hash = ? AND revoked_at_ms IS NULL`,
      toCredential,
    )
    this.#credentials = new Lookup(db, `${credential} WHERE account_key = ? ORDER BY key`, toCredential)
    this.#stream = new Lookup(db, `${stream} WHERE key = ?`, toStream)
    this.#defaultStream = new Lookup(db, `${stream} WHERE account_key = ? AND name = 'default'`, toStream)
    this.#streams = new Lookup(db, `${stream} WHERE account_key = ? ORDER BY key`, toStream)
    this.#domain = new Lookup(db, `${domain} WHERE account_key = ? AND name = ?`, toDomain, true)
    this.#domains = new Lookup(db, `${domain} WHERE account_key = ? ORDER BY key`, toDomain)
    this.#keys = new Lookup(
      db,
      `SELECT ${domainKeyColumns} FROM domain_key WHERE domain_key = ? ORDER BY key`,
      toDomainKey,
    )
    this.#all = [
      this.#byKey,
      this.#byName,
      this.#byId,
      this.#byUsername,
      this.#byHash,
      this.#stream,
      this.#defaultStream,
      this.#domain,
    ]
  }

  accountByKey(key: number): Account | null {
    return this.#byKey.one(`${key}`, key)
  }

  accountByName(name: string): Account | null {
    return this.#byName.one(name, name)
  }

  accountById(id: string): Account | null {
    return this.#byId.one(id, id)
  }

  accounts(): Account[] {
    return this.#accounts.all()
  }

  credentialByUsername(username: string): Credential | null {
    return this.#byUsername.one(username, username)
  }

  credentialBySecretHash(hash: Buffer): Credential | null {
    return this.#byHash.one(hash.toString('latin1'), hash)
  }

  credentials(accountKey: number): Credential[] {
    return this.#credentials.all(accountKey)
  }

  stream(key: number): Stream | null {
    return this.#stream.one(`${key}`, key)
  }

  defaultStream(accountKey: number): Stream | null {
    return this.#defaultStream.one(`${accountKey}`, accountKey)
  }

  streams(accountKey: number): Stream[] {
    return this.#streams.all(accountKey)
  }

  domain(accountKey: number, name: string): Domain | null {
    return this.#domain.one(`${accountKey} ${name}`, accountKey, name)
  }

  domains(accountKey: number): Domain[] {
    return this.#domains.all(accountKey)
  }

  keysOf(domainKey: number): DomainKey[] {
    let keys = this.#keyLists.get(domainKey)
    if (keys === undefined) {
      if (this.#keyLists.size >= cachedMax) this.#keyLists.clear()
      keys = this.#keys.all(domainKey)
      this.#keyLists.set(domainKey, keys)
    }
    return keys
  }

  forget(): void {
    for (const lookup of this.#all) lookup.forget()
    this.#keyLists.clear()
  }
}

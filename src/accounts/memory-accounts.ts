// Accounts in memory: both ports over plain arrays, for tests and tools that have no store.
//
// Place on the path: off it. It keeps the rules that the ports promise (names unique inside their owner, revoked
// credentials not found), so that what is tested over it holds over a store.

import type { AccountReader, AccountStore } from './port.ts'
import type { Account, Credential, Domain, DomainKey, Stream } from './types.ts'

export class MemoryAccounts implements AccountReader, AccountStore {
  readonly #accounts: Account[] = []
  readonly #streams: Stream[] = []
  readonly #credentials: Credential[] = []
  readonly #domains: Domain[] = []
  readonly #keys: DomainKey[] = []
  #lastKey = 0

  accountByKey(key: number): Account | null {
    return this.#accounts.find(one => one.key === key) ?? null
  }

  accountByName(name: string): Account | null {
    return this.#accounts.find(one => one.name === name) ?? null
  }

  accountById(id: string): Account | null {
    return this.#accounts.find(one => one.id === id) ?? null
  }

  accounts(): Account[] {
    return [...this.#accounts]
  }

  credentialByUsername(username: string): Credential | null {
    return this.#live().find(one => one.kind === 'smtp' && one.username === username) ?? null
  }

  credentialBySecretHash(hash: Buffer): Credential | null {
    return this.#live().find(one => one.secretHash.equals(hash)) ?? null
  }

  credentials(accountKey: number): Credential[] {
    return this.#credentials.filter(one => one.accountKey === accountKey)
  }

  stream(key: number): Stream | null {
    return this.#streams.find(one => one.key === key) ?? null
  }

  defaultStream(accountKey: number): Stream | null {
    return this.streams(accountKey).find(one => one.name === 'default') ?? null
  }

  streams(accountKey: number): Stream[] {
    return this.#streams.filter(one => one.accountKey === accountKey)
  }

  domain(accountKey: number, name: string): Domain | null {
    return this.domains(accountKey).find(one => one.name === name) ?? null
  }

  domains(accountKey: number): Domain[] {
    return this.#domains.filter(one => one.accountKey === accountKey)
  }

  keysOf(domainKey: number): DomainKey[] {
    return this.#keys.filter(one => one.domainKey === domainKey)
  }

  /** Nothing is cached. */
  forget(): void {}

  async createAccount(
    account: Omit<Account, 'key'>,
    stream: Omit<Stream, 'key' | 'accountKey'>,
  ): Promise<Account | 'exists'> {
    if (this.accountByName(account.name) !== null) return 'exists'
    const created = { ...account, key: ++this.#lastKey }
    this.#accounts.push(created)
    this.#streams.push({ ...stream, key: ++this.#lastKey, accountKey: created.key })
    return created
  }

  async createCredential(credential: Omit<Credential, 'key'>): Promise<Credential | 'exists'> {
    const isTaken = this.#credentials.some(
      one =>
        one.secretHash.equals(credential.secretHash) ||
        (credential.kind === 'smtp' && one.username === credential.username),
    )
    if (isTaken) return 'exists'
    const created = { ...credential, key: ++this.#lastKey }
    this.#credentials.push(created)
    return created
  }

  async revokeCredential(key: number, atMs: number): Promise<boolean> {
    return change(this.#credentials, key, { revokedAtMs: atMs })
  }

  async createDomain(
    domain: Omit<Domain, 'key'>,
    keys: readonly Omit<DomainKey, 'key' | 'domainKey'>[],
  ): Promise<Domain | 'exists'> {
    if (this.domain(domain.accountKey, domain.name) !== null) return 'exists'
    const created = { ...domain, key: ++this.#lastKey }
    this.#domains.push(created)
    for (const key of keys) this.#keys.push({ ...key, key: ++this.#lastKey, domainKey: created.key })
    return created
  }

  async setDomainStatus(key: number, status: Domain['status']): Promise<boolean> {
    return change(this.#domains, key, { status })
  }

  async updateStream(
    key: number,
    values: Partial<Pick<Stream, 'kind' | 'failureReport' | 'priority'>>,
  ): Promise<boolean> {
    return change(this.#streams, key, values)
  }

  #live(): Credential[] {
    return this.#credentials.filter(one => one.revokedAtMs === null)
  }
}

/** Replaces the row with this key; false when there is none. */
function change<T extends { readonly key: number }>(
  rows: T[],
  key: number,
  values: Partial<NoInfer<T>>,
): boolean {
  const index = rows.findIndex(one => one.key === key)
  if (index < 0) return false
  rows[index] = { ...rows[index]!, ...values }
  return true
}

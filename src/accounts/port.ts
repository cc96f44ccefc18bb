// The ports of accounts: a reader for the hot path (answers from memory) and a store for changes.

import type { Account, Credential, Domain, DomainKey, Stream } from './types.ts'

/** Reads who may send as whom. Synchronous: implementations read a local store and cache until `forget()`. */
export interface AccountReader {
  accountByKey(key: number): Account | null
  accountByName(name: string): Account | null
  accountById(id: string): Account | null
  accounts(): Account[]
  /** For AUTH with a kind-smtp username; revoked ones are not found. */
  credentialByUsername(username: string): Credential | null
  /** For the user name `apikey` and Bearer keys: SHA-256 of the secret; revoked ones are not found. */
  credentialBySecretHash(hash: Buffer): Credential | null
  /** All, revoked ones too. */
  credentials(accountKey: number): Credential[]
  stream(key: number): Stream | null
  /** The stream `default` of an account. */
  defaultStream(accountKey: number): Stream | null
  streams(accountKey: number): Stream[]
  domain(accountKey: number, name: string): Domain | null
  domains(accountKey: number): Domain[]
  /** Active and retired keys of a domain. */
  keysOf(domainKey: number): DomainKey[]
  /** Drops everything cached: called in every thread before a change is reported done. */
  forget(): void
}

/**
 * Changes accounts; each call is one commit and answers with what was stored, or with why it
 * could not be (`exists`, `missing`).
 */
export interface AccountStore {
  createAccount(
    account: Omit<Account, 'key'>,
    stream: Omit<Stream, 'key' | 'accountKey'>,
  ): Promise<Account | 'exists'>
  createCredential(credential: Omit<Credential, 'key'>): Promise<Credential | 'exists'>
  revokeCredential(key: number, atMs: number): Promise<boolean>
  createDomain(
    domain: Omit<Domain, 'key'>,
    keys: readonly Omit<DomainKey, 'key' | 'domainKey'>[],
  ): Promise<Domain | 'exists'>
  setDomainStatus(key: number, status: Domain['status']): Promise<boolean>
  updateStream(
    key: number,
    change: Partial<Pick<Stream, 'kind' | 'failureReport' | 'priority'>>,
  ): Promise<boolean>
}

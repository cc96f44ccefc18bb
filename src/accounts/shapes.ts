// The JSON shapes of accounts, credentials, streams and domains.
//
// Place on the path: off it; control socket, CLI and later the API print these and nothing else of a record. No shape
// holds a secret or a hash, except the answer to `credential create`, which shows the secret once.

import { type DomainRecord, domainRecords } from './dns-records.ts'
import type { AccountReader } from './port.ts'
import type { Account, Credential, Domain, Stream } from './types.ts'

export interface AccountJson {
  readonly id: string
  readonly name: string
  /** RFC 3339. */
  readonly createdAt: string
}

export interface CredentialJson {
  readonly id: string
  /** Name of the account. */
  readonly account: string
  readonly stream: string
  readonly kind: Credential['kind']
  readonly username: string
  readonly longLines: Credential['longLines']
  readonly bareLf: Credential['bareLf']
  readonly createdAt: string
  readonly revokedAt: string | null
}

/** The only time that the secret is shown. */
export interface NewCredentialJson {
  readonly id: string
  readonly username: string
  readonly secret: string
  readonly kind: Credential['kind']
  readonly account: string
}

export interface DomainJson {
  readonly id: string
  readonly domain: string
  readonly account: string
  readonly status: Domain['status']
  readonly dkim: boolean
  readonly records: readonly DomainRecord[]
}

export interface StreamJson {
  readonly id: string
  readonly account: string
  readonly name: string
  readonly kind: Stream['kind']
  readonly failureReport: Stream['failureReport']
  readonly priority: number
}

export function accountJson(account: Account): AccountJson {
  return { id: account.id, name: account.name, createdAt: instant(account.createdAtMs) }
}

export function credentialJson(reader: AccountReader, credential: Credential): CredentialJson {
  const { id, kind, username, longLines, bareLf, revokedAtMs } = credential
  return {
    id,
    account: accountName(reader, credential.accountKey),
    stream: reader.stream(credential.streamKey)?.name ?? '',
    kind,
    username,
    longLines,
    bareLf,
    createdAt: instant(credential.createdAtMs),
    revokedAt: revokedAtMs === null ? null : instant(revokedAtMs),
  }
}

/** @param hostname ours, for the SPF record. */
export function domainJson(reader: AccountReader, domain: Domain, hostname: string): DomainJson {
  return {
    id: domain.id,
    domain: domain.name,
    account: accountName(reader, domain.accountKey),
    status: domain.status,
    dkim: domain.signs,
    records: domainRecords(domain, reader.keysOf(domain.key), hostname),
  }
}

export function streamJson(reader: AccountReader, stream: Stream): StreamJson {
  const { id, name, kind, failureReport, priority } = stream
  return { id, account: accountName(reader, stream.accountKey), name, kind, failureReport, priority }
}

function accountName(reader: AccountReader, accountKey: number): string {
  return reader.accountByKey(accountKey)?.name ?? ''
}

function instant(atMs: number): string {
  return new Date(atMs).toISOString()
}

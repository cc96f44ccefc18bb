// Rows of accounts, streams, credentials, domains and their keys: column lists and how a row becomes the port's type.

import type { Account, Credential, Domain, DomainKey, Stream } from '../../accounts/index.ts'
import { asBuffer } from '../format/index.ts'

type Row = readonly unknown[]

/** Column lists, in the order that the functions below read. */
export const accountColumns = 'key, id, name, created_at_ms'
export const streamColumns = 'key, id, account_key, name, kind, failure_report, priority'
export const credentialColumns =
  'key, id, account_key, stream_key, kind, username, secret_hash, long_lines, bare_lf, created_at_ms, revoked_at_ms'
export const domainColumns = 'key, id, account_key, name, status, signs, created_at_ms'
export const domainKeyColumns =
  'key, id, domain_key, selector, algorithm, encrypted_private_key, public_record, status, created_at_ms'

export function toAccount(row: Row): Account {
  const [key, id, name, createdAtMs] = row as [number, string, string, number]
  return { key, id, name, createdAtMs }
}

export function toStream(row: Row): Stream {
  const [key, id, accountKey, name, kind, failureReport, priority] = row as [
    number,
    string,
    number,
    string,
    Stream['kind'],
    Stream['failureReport'],
    number,
  ]
  return { key, id, accountKey, name, kind, failureReport, priority }
}

export function toCredential(row: Row): Credential {
  return {
    key: row[0] as number,
    id: row[1] as string,
    accountKey: row[2] as number,
    streamKey: row[3] as number,
    kind: row[4] as Credential['kind'],
    username: row[5] as string,
    secretHash: asBuffer(row[6] as Uint8Array),
    longLines: row[7] as Credential['longLines'],
    bareLf: row[8] as Credential['bareLf'],
    createdAtMs: row[9] as number,
    revokedAtMs: row[10] as number | null,
  }
}

export function toDomain(row: Row): Domain {
  return {
    key: row[0] as number,
    id: row[1] as string,
    accountKey: row[2] as number,
    name: row[3] as string,
    status: row[4] as Domain['status'],
    signs: row[5] === 1,
    createdAtMs: row[6] as number,
  }
}

export function toDomainKey(row: Row): DomainKey {
  return {
    key: row[0] as number,
    id: row[1] as string,
    domainKey: row[2] as number,
    selector: row[3] as string,
    algorithm: row[4] as DomainKey['algorithm'],
    encryptedPrivateKey: asBuffer(row[5] as Uint8Array),
    publicRecord: row[6] as string,
    status: row[7] as DomainKey['status'],
    createdAtMs: row[8] as number,
  }
}

// Changes to accounts, as the CLI (and later API and dashboard) ask for them: checked, made, stored, told.
//
// Place on the path: off it; mail sees the results through the reader. Every method answers with a value: what was
// made, or an error with a code, a sentence and the next step. Flags take an id or a name.

import { checkName, formatId, type IdGenerator } from '../base/index.ts'
import { makeDomainKeys } from './domain-keys.ts'
import { checkDomainName } from './domain-name.ts'
import type { AccountReader, AccountStore } from './port.ts'
import { base32, hashSecret, makeSecret } from './secret.ts'
import type { SecretBox } from './secret-box.ts'
import {
  type AccountJson,
  accountJson,
  type CredentialJson,
  credentialJson,
  type DomainJson,
  domainJson,
  type NewCredentialJson,
  type StreamJson,
  streamJson,
} from './shapes.ts'
import type { Account, Credential, Domain, Stream } from './types.ts'
import { apiUsername } from './verify.ts'

/** Why something was not done. */
export interface AccountError {
  readonly code: 'invalid' | 'exists' | 'not-found' | 'ambiguous'
  readonly message: string
  /** What to do next. */
  readonly hint: string
}

export type AccountResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: AccountError }

export interface AccountServiceParts {
  readonly reader: AccountReader
  readonly store: AccountStore
  readonly box: SecretBox
  readonly ids: IdGenerator
  readonly randomBytes: (sizeBytes: number) => Buffer
  readonly nowMs: () => number
  /** Ours, for the SPF record of domains. */
  readonly hostname: string
}

export interface NewCredential {
  /** Id or name. */
  readonly account: string
  readonly kind: Credential['kind']
  /** Id or name; `default` by default. */
  readonly stream?: string
  readonly longLines?: Credential['longLines']
  readonly bareLf?: Credential['bareLf']
  /** One that was made and kept before (first run); by default a fresh one. */
  readonly secret?: string
}

export interface NewDomain {
  readonly account: string
  readonly domain: string
  /** The operator vouches: no proof in DNS is asked for. */
  readonly isTrusted?: boolean
  /** False leaves its messages unsigned. */
  readonly signs?: boolean
}

export type StreamChange = Partial<Pick<Stream, 'kind' | 'failureReport' | 'priority'>>

export class AccountService {
  readonly #parts: AccountServiceParts

  constructor(parts: AccountServiceParts) {
    this.#parts = parts
  }

  /** Makes an account with its stream `default`. */
  async createAccount(name: string): Promise<AccountResult<AccountJson>> {
    const { store, ids, nowMs } = this.#parts
    const checked = checkName(name)
    if (!checked.ok) return failed('invalid', checked.why, 'choose another name')
    const created = await store.createAccount(
      { id: formatId('acc', ids.next()), name, createdAtMs: nowMs() },
      {
        id: formatId('str', ids.next()),
        name: 'default',
        kind: 'transactional',
        failureReport: 'event',
        priority: 5,
      },
    )
    if (created === 'exists')
      return failed('exists', `there is already an account ${name}`, 'postrider account list')
    return { ok: true, value: accountJson(created) }
  }

  listAccounts(): AccountJson[] {
    return this.#parts.reader.accounts().map(accountJson)
  }

  /** Makes a credential; the answer is the only place where its secret is ever shown. */
  async createCredential(request: NewCredential): Promise<AccountResult<NewCredentialJson>> {
    const { reader, store, ids, randomBytes, nowMs } = this.#parts
    const account = this.account(request.account)
    if (!account.ok) return account
    const stream = this.#stream(account.value, request.stream ?? 'default')
    if (!stream.ok) return stream
    const secret = request.secret ?? makeSecret(randomBytes)
    const { name } = account.value
    const username = request.kind === 'api' ? apiUsername : `${name}-${base32(randomBytes(5))}`
    const created = await store.createCredential({
      id: formatId('crd', ids.next()),
      accountKey: account.value.key,
      streamKey: stream.value.key,
      kind: request.kind,
      username,
      secretHash: hashSecret(secret),
      longLines: request.longLines ?? 'refuse',
      bareLf: request.bareLf ?? 'refuse',
      createdAtMs: nowMs(),
      revokedAtMs: null,
    })
    if (created === 'exists')
      return failed('exists', `there is already a credential ${username}`, 'try again')
    const { id, kind, account: accountName } = credentialJson(reader, created)
    return { ok: true, value: { id, username, secret, kind, account: accountName || name } }
  }

  /** Credentials of one account, or of all, each made when it is taken; revoked ones too. */
  listCredentials(account?: string): AccountResult<Iterable<CredentialJson>> {
    const { reader } = this.#parts
    return this.#listed(
      account,
      one => reader.credentials(one.key),
      one => credentialJson(reader, one),
    )
  }

  /** Revokes for good; revoking twice is no error. */
  async revokeCredential(idOrUsername: string): Promise<AccountResult<CredentialJson>> {
    const { reader, store, nowMs } = this.#parts
    const all = reader.accounts().flatMap(one => reader.credentials(one.key))
    const found = all.filter(one => one.id === idOrUsername || one.username === idOrUsername)
    if (found.length > 1)
      return failed(
        'ambiguous',
        `${found.length} credentials have the user name ${idOrUsername}`,
        'give the id: postrider credential list',
      )
    const credential = found[0]
    if (credential === undefined)
      return failed('not-found', `there is no credential ${quote(idOrUsername)}`, 'postrider credential list')
    if (credential.revokedAtMs !== null) return { ok: true, value: credentialJson(reader, credential) }
    const revokedAtMs = nowMs()
    await store.revokeCredential(credential.key, revokedAtMs)
    return { ok: true, value: credentialJson(reader, { ...credential, revokedAtMs }) }
  }

  /**
   * Adds a domain with its DKIM keys. One that is already there is an error, unless the operator now vouches for it:
   * a `pending` domain becomes `trusted`, with the keys and records that it has, and doing it again is no error. What it is
   * asked for beyond that, no signatures where there are keys, is an error: it would not be done.
   */
  async addDomain(request: NewDomain): Promise<AccountResult<DomainJson>> {
    const { reader, store, ids, nowMs, hostname } = this.#parts
    const account = this.account(request.account)
    if (!account.ok) return account
    const checked = checkDomainName(request.domain)
    if (!checked.ok) return failed('invalid', checked.why, 'give the domain of the sender addresses')
    const { name } = checked
    const exists = failed<DomainJson>(
      'exists',
      `account ${account.value.name} already has the domain ${name}`,
      `show it: postrider domain show ${name}; vouch for it: postrider domain add --account ${account.value.name} ${name} --trust`,
    )
    // Asked before the keys are made, since RSA is work; the store decides in the end.
    const known = reader.domain(account.value.key, name)
    if (known !== null && request.isTrusted && known.signs && request.signs === false)
      return failed(
        'exists',
        `account ${account.value.name} already has the domain ${name}, which signs; --no-dkim does not change that`,
        `leave --no-dkim out: postrider domain add --account ${account.value.name} ${name} --trust`,
      )
    if (known !== null) return request.isTrusted ? await this.#vouch(known) : exists
    const signs = request.signs ?? true
    const domain: Omit<Domain, 'key'> = {
      id: formatId('dom', ids.next()),
      accountKey: account.value.key,
      name,
      status: request.isTrusted ? 'trusted' : 'pending',
      signs,
      createdAtMs: nowMs(),
    }
    const created = await store.createDomain(domain, signs ? await makeDomainKeys(this.#parts) : [])
    return created === 'exists' ? exists : { ok: true, value: domainJson(reader, created, hostname) }
  }

  async #vouch(domain: Domain): Promise<AccountResult<DomainJson>> {
    const { reader, store, hostname } = this.#parts
    if (domain.status !== 'pending') return { ok: true, value: domainJson(reader, domain, hostname) }
    await store.setDomainStatus(domain.key, 'trusted')
    return { ok: true, value: domainJson(reader, { ...domain, status: 'trusted' }, hostname) }
  }

  /** Domains of one account, or of all, each made when it is taken. */
  listDomains(account?: string): AccountResult<Iterable<DomainJson>> {
    const { reader, hostname } = this.#parts
    return this.#listed(
      account,
      one => reader.domains(one.key),
      one => domainJson(reader, one, hostname),
    )
  }

  /** Streams of one account, or of all, each made when it is taken. */
  listStreams(account?: string): AccountResult<Iterable<StreamJson>> {
    const { reader } = this.#parts
    return this.#listed(
      account,
      one => reader.streams(one.key),
      one => streamJson(reader, one),
    )
  }

  /** @param idOrName of the domain; a name that several accounts have needs the account, too. */
  showDomain(idOrName: string, account?: string): AccountResult<DomainJson> {
    const { reader, hostname } = this.#parts
    const accounts = this.#accounts(account)
    if (!accounts.ok) return accounts
    const checked = checkDomainName(idOrName)
    const name = checked.ok ? checked.name : ''
    const found = accounts.value
      .flatMap(one => reader.domains(one.key))
      .filter(one => one.id === idOrName || one.name === name)
    if (found.length > 1)
      return failed(
        'ambiguous',
        `${found.length} accounts have the domain ${name}`,
        'name one with --account',
      )
    if (found[0] === undefined)
      return failed('not-found', `there is no domain ${quote(idOrName)}`, 'postrider domain list')
    return { ok: true, value: domainJson(reader, found[0], hostname) }
  }

  /** Changes how a stream's messages are treated. */
  async updateStream(
    account: string,
    stream: string,
    change: StreamChange,
  ): Promise<AccountResult<StreamJson>> {
    const owner = this.account(account)
    if (!owner.ok) return owner
    const found = this.#stream(owner.value, stream)
    if (!found.ok) return found
    const { priority } = change
    if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= 9))
      return failed('invalid', `${priority} is not a priority`, 'give a whole number from 0 (urgent) to 9')
    await this.#parts.store.updateStream(found.value.key, change)
    return { ok: true, value: streamJson(this.#parts.reader, { ...found.value, ...change }) }
  }

  /** An account by id or name. */
  account(idOrName: string): AccountResult<Account> {
    const { reader } = this.#parts
    const found = reader.accountByName(idOrName) ?? reader.accountById(idOrName)
    if (found !== null) return { ok: true, value: found }
    return failed(
      'not-found',
      `there is no account ${quote(idOrName)}`,
      `postrider account list shows which there are; to make it: postrider account create ${checkName(idOrName).ok ? idOrName : 'NAME'}`,
    )
  }

  #listed<Row, Json>(
    account: string | undefined,
    rowsOf: (account: Account) => readonly Row[],
    json: (row: Row) => Json,
  ): AccountResult<Iterable<Json>> {
    const accounts = this.#accounts(account)
    return accounts.ok ? { ok: true, value: eachOf(accounts.value, rowsOf, json) } : accounts
  }

  #accounts(idOrName: string | undefined): AccountResult<Account[]> {
    if (idOrName === undefined) return { ok: true, value: this.#parts.reader.accounts() }
    const one = this.account(idOrName)
    return one.ok ? { ok: true, value: [one.value] } : one
  }

  #stream(account: Account, idOrName: string): AccountResult<Stream> {
    const all = this.#parts.reader.streams(account.key)
    const found = all.find(one => one.name === idOrName || one.id === idOrName)
    if (found !== undefined) return { ok: true, value: found }
    const known = all.map(one => one.name).join(', ')
    return failed('not-found', `account ${account.name} has no stream ${quote(idOrName)}`, `it has: ${known}`)
  }
}

function* eachOf<Row, Json>(
  accounts: readonly Account[],
  rowsOf: (account: Account) => readonly Row[],
  json: (row: Row) => Json,
): Generator<Json> {
  for (const account of accounts) for (const row of rowsOf(account)) yield json(row)
}

function failed<T>(code: AccountError['code'], message: string, hint: string): AccountResult<T> {
  return { ok: false, error: { code, message, hint } }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}

// Authentication at the door: SASL credentials to account, stream and credential.
//
// Unknown user and wrong secret get the same code, text and cost. After some failures from one address refusals are
// delayed: a guesser is slowed, and nobody is kept from his own account by a stranger, nor by a neighbour behind the same
// address. Who does not wait for a refusal but connects again is held by the bound on connections of an address.

import {
  type Account,
  type AccountReader,
  type Credential,
  type Stream,
  verifyCredential,
} from '../accounts/index.ts'
import type { SaslCredentials } from '../protocol/smtp/index.ts'
import type { AddressGuard } from './address-guard.ts'
import { type Refusal, refuse } from './refusal.ts'

/** Who logged in. */
export interface Authenticated {
  readonly kind: 'authenticated'
  readonly account: Account
  readonly stream: Stream
  readonly credential: Credential
}

/** Checks credentials; one per relay thread. */
export class Authenticator {
  readonly #accounts: AccountReader
  readonly #guard: AddressGuard
  readonly #delay: (ms: number) => Promise<void>

  constructor(accounts: AccountReader, guard: AddressGuard, delay: (ms: number) => Promise<void>) {
    this.#accounts = accounts
    this.#guard = guard
    this.#delay = delay
  }

  async authenticate(credentials: SaslCredentials, clientAddress: string): Promise<Authenticated | Refusal> {
    const result = verifyCredential(this.#accounts, credentials.username, credentials.password)
    if (result.ok) return { kind: 'authenticated', ...result }
    // Counted before the wait, so that guesses at the same time do not all have the delay of the first.
    const delayMs = this.#guard.authDelayMs(clientAddress)
    this.#guard.authFailed(clientAddress)
    if (delayMs > 0) await this.#delay(delayMs)
    return refuse(
      'authentication-failed',
      'user name or secret is wrong; list the credentials of the account with: postrider credential list',
    )
  }
}

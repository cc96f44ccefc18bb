// Which keys sign a submission, and the signing itself: fails closed.
//
// A message of a domain that has keys never leaves unsigned: a key that cannot be read is a refusal (4xx, try again),
// not an unsigned message. The operator's own domain may sign as well (`[dkim]` in the configuration).

import type { Clock } from '../../base/index.ts'
import {
  type DkimKey,
  type SignElsewhere,
  signMessage,
  signMessageAsync,
} from '../../protocol/auth/dkim/index.ts'
import type { HeaderField } from '../../protocol/mail/index.ts'
import type { MaybePromise } from '../../protocol/smtp/index.ts'
import { type Refusal, refuse } from '../refusal.ts'

/** Answers which keys a domain signs with. */
export interface KeySource {
  /** `unsigned`: the domain is set to send without DKIM, or is not the account's. */
  keysFor(
    accountKey: number,
    domain: string,
  ):
    | { readonly kind: 'keys'; readonly keys: readonly DkimKey[] }
    | { readonly kind: 'unsigned' }
    | { readonly kind: 'failed'; readonly why: string }
}

/** Chooses keys and signs. */
export class SignatureMaker {
  readonly #source: KeySource
  readonly #operatorKeys: readonly DkimKey[]
  readonly #clock: Clock
  readonly #elsewhere: SignElsewhere | null

  /**
   * @param operatorKeys keys of the operator's own domain that sign every message; often none
   * @param elsewhere where the signatures are made, see `SigningLine`; null: on the calling thread
   */
  constructor(
    source: KeySource,
    operatorKeys: readonly DkimKey[],
    clock: Clock,
    elsewhere: SignElsewhere | null,
  ) {
    this.#source = source
    this.#operatorKeys = operatorKeys
    this.#clock = clock
    this.#elsewhere = elsewhere
  }

  /** The keys for a message with this From domain; an empty list means that it leaves unsigned on purpose. */
  keysFor(accountKey: number, fromDomain: string): readonly DkimKey[] | Refusal {
    const found = this.#source.keysFor(accountKey, fromDomain)
    if (found.kind === 'failed')
      return refuse(
        'signing-failed',
        `the DKIM keys of ${fromDomain} cannot be used: ${found.why}; tell the operator`,
      )
    if (found.kind === 'unsigned') return this.#operatorKeys
    return this.#operatorKeys.length === 0 ? found.keys : [...found.keys, ...this.#operatorKeys]
  }

  /** The signature fields: about 0.4 ms of CPU for RSA-2048 and Ed25519 together. */
  sign(
    keys: readonly DkimKey[],
    headerFields: readonly HeaderField[],
    bodyHash: Buffer,
  ): MaybePromise<Buffer | Refusal> {
    const request = { headerFields, bodyHash, keys, signedAtMs: this.#clock.nowMs() }
    const elsewhere = this.#elsewhere
    return elsewhere === null
      ? unwrap(signMessage(request))
      : signMessageAsync(request, elsewhere).then(unwrap)
  }
}

function unwrap(
  result: { kind: 'signed'; signatures: Buffer } | { kind: 'failed'; why: string },
): Buffer | Refusal {
  if (result.kind === 'signed') return result.signatures
  return refuse(
    'signing-failed',
    `the message could not be signed: ${result.why}; try again, then tell the operator`,
  )
}

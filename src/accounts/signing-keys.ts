// The keys that sign a message, ready to use: opened once a thread and domain, kept until something changes.
//
// Place on the path: intake asks at the end of each header block. Invariant: it fails closed. A domain that signs and
// whose keys cannot all be used gives a failure with a reason, never "unsigned".

import { type DkimKey, importPrivateKey } from '../protocol/auth/dkim/index.ts'
import { maySendAs } from './may-send.ts'
import type { AccountReader } from './port.ts'
import type { SecretBox } from './secret-box.ts'
import type { Domain } from './types.ts'

/** `unsigned`: the domain sends without DKIM on purpose, or is not (yet) the account's. */
export type SigningKeysResult =
  | { readonly kind: 'keys'; readonly keys: readonly DkimKey[] }
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'failed'; readonly why: string }

/** At most this many domains are kept ready in a thread; about 6 KiB each. */
const domainsMax = 10_000

export class SigningKeys {
  readonly #reader: AccountReader
  readonly #box: SecretBox
  readonly #ready = new Map<number, SigningKeysResult>()

  constructor(reader: AccountReader, box: SecretBox) {
    this.#reader = reader
    this.#box = box
  }

  /** The keys of a From domain (lower-case A-label) of an account. Opening RSA keys costs about 0.1 ms, once. */
  keysFor(accountKey: number, domain: string): SigningKeysResult {
    const owned = maySendAs(this.#reader, accountKey, domain)
    if (!owned.ok || !owned.domain.signs) return { kind: 'unsigned' }
    const ready = this.#ready.get(owned.domain.key)
    if (ready !== undefined) return ready
    const result = this.#open(owned.domain)
    // Failures are not kept: the operator may be mending the cause.
    if (result.kind === 'keys') this.#keep(owned.domain.key, result)
    return result
  }

  /** Drops what is kept; called with {@link AccountReader.forget}. */
  forget(): void {
    this.#ready.clear()
  }

  #keep(domainKey: number, result: SigningKeysResult): void {
    if (this.#ready.size >= domainsMax) this.#ready.delete(this.#ready.keys().next().value!)
    this.#ready.set(domainKey, result)
  }

  #open(domain: Domain): SigningKeysResult {
    const keys: DkimKey[] = []
    for (const stored of this.#reader.keysOf(domain.key)) {
      if (stored.status !== 'active') continue
      const name = `the key ${stored.selector} of ${domain.name}`
      const der = this.#box.open(stored.id, stored.encryptedPrivateKey)
      if (der === null)
        return { kind: 'failed', why: `${name} cannot be decrypted with secret.key of the data folder` }
      const key = importPrivateKey(der)
      if (key.kind === 'refused') return { kind: 'failed', why: `${name} cannot be used: ${key.why}` }
      if (key.algorithm !== stored.algorithm)
        return { kind: 'failed', why: `${name} is not a key for ${stored.algorithm}` }
      keys.push({
        domain: domain.name,
        selector: stored.selector,
        algorithm: key.algorithm,
        privateKey: key.privateKey,
      })
    }
    if (keys.length === 0) return { kind: 'failed', why: `${domain.name} signs, and has no active key` }
    return { kind: 'keys', keys }
  }
}

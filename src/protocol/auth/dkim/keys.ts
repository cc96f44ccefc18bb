// DKIM keys: what a key is, how it is made, imported and checked.
//
// Place on the path: accounts makes or imports keys (and encrypts them at rest), the signer gets KeyObjects,
// so that no PEM is parsed per message. Invariants: RSA under 1024 bits never becomes a key (RFC 8301 §3.2);
// domain and selector are checked before they can reach a header or a DNS name.

import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

/** Signature algorithms; rsa-sha1 does not exist here (RFC 8301 §3.1). */
export type DkimAlgorithm = 'rsa-sha256' | 'ed25519-sha256'

/** A key that is ready to sign. */
export interface DkimKey {
  /** Signing domain (`d=`), lower-case A-label form. */
  readonly domain: string
  /** Selector (`s=`). */
  readonly selector: string
  readonly algorithm: DkimAlgorithm
  readonly privateKey: KeyObject
}

/** A private key that may sign, or the reason why not. */
export type PrivateKeyCheck =
  | { readonly kind: 'usable'; readonly algorithm: DkimAlgorithm; readonly privateKey: KeyObject }
  | { readonly kind: 'refused'; readonly why: string }

const generate: (
  type: 'rsa' | 'ed25519',
  options: { modulusLength: number },
) => Promise<{ privateKey: KeyObject }> = promisify(generateKeyPair as never)

/** Makes a private key in the thread pool: RSA with 2048 bits, or Ed25519 (RFC 8463). */
export async function generateDkimKey(algorithm: DkimAlgorithm): Promise<KeyObject> {
  const type = algorithm === 'rsa-sha256' ? 'rsa' : 'ed25519'
  const { privateKey } = await generate(type, { modulusLength: 2048 })
  return privateKey
}

/** The key as PKCS #8 DER, the form in which it is encrypted and stored. */
export function exportPrivateKey(privateKey: KeyObject): Buffer {
  return privateKey.export({ type: 'pkcs8', format: 'der' })
}

/** Reads a private key: PEM (PKCS #1 or #8) as text, or PKCS #8 DER as a Buffer. */
export function importPrivateKey(key: string | Buffer): PrivateKeyCheck {
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(typeof key === 'string' ? key : { key, format: 'der', type: 'pkcs8' })
  } catch {
    // The cause may quote the key: it is left out on purpose.
    return { kind: 'refused', why: 'this is not an unencrypted private key in PEM or PKCS #8 DER form' }
  }
  return checkPrivateKey(privateKey)
}

/** Says whether a key may sign: RSA of 1024 to 4096 bits (RFC 8301 §3.2), or Ed25519. */
export function checkPrivateKey(privateKey: KeyObject): PrivateKeyCheck {
  if (privateKey.type !== 'private') return refused('this is a public key; a private key is needed')
  const type = privateKey.asymmetricKeyType
  if (type === 'ed25519') return { kind: 'usable', algorithm: 'ed25519-sha256', privateKey }
  if (type !== 'rsa') return refused(`keys of type ${type} cannot sign DKIM; use RSA (2048 bits) or Ed25519`)
  const bits = privateKey.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits < 1024) return refused(`an RSA key of ${bits} bits is too weak; use 2048 bits`)
  if (bits > 4096) return refused(`verifiers need not accept an RSA key of ${bits} bits; use 2048 bits`)
  return { kind: 'usable', algorithm: 'rsa-sha256', privateKey }
}

function refused(why: string): PrivateKeyCheck {
  return { kind: 'refused', why }
}

/** What is wrong with the names of a key, or undefined: both must be plain DNS names (RFC 6376 §3.1, §3.5). */
export function dkimNamesFault(domain: string, selector: string): string | undefined {
  if (!isDnsName(domain)) return `${JSON.stringify(domain)} is not a domain name in lower-case A-label form`
  if (!isDnsName(selector))
    return `${JSON.stringify(selector)} is not a selector (letters, digits, hyphens, dots)`
  if (selector.length + domain.length + '._domainkey.'.length > 253) return 'selector and domain are too long'
  return undefined
}

/** Labels of letters, digits and inner hyphens, parted by dots; lower case only, no dot at the end. */
function isDnsName(name: string): boolean {
  return name.split('.').every(label => label.length <= 63 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(label))
}

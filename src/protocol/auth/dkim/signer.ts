// Signs a message: one or more DKIM-Signature fields over the same header and body hash.
//
// Place on the path: at intake when the bytes are final, else at the attempt. The fields go in front of the
// content in the prefix. How it goes:
//   1. check the request (keys, From, times); any fault ends it with a value;
//   2. choose and canonicalise the signed fields, once for all keys;
//   3. per key: write the field without its b= value, canonicalise it behind the header, sign;
//   4. check every signature's length, complete the fields.
// Invariants: all signatures or none: a message of a domain with keys never leaves unsigned or half signed.
// The synchronous and the asynchronous form give the same bytes.

import { hash, sign } from 'node:crypto'
import type { HeaderField } from '../../mail/index.ts'
import { canonicaliseFields, chooseSignedFields } from './header-canon.ts'
import { checkPrivateKey, type DkimKey, dkimNamesFault } from './keys.ts'
import { signedField, unsignedField } from './signature-field.ts'

/** What is to be signed, and with what. */
export interface SignRequest {
  /** All fields of the message in wire order, those that we add included (see `fieldsInOrder`). */
  readonly headerFields: readonly HeaderField[]
  /** From `BodyHasher`, over exactly the bytes that will be sent. */
  readonly bodyHash: Buffer
  /** One signature each, in this order; usually RSA and Ed25519 of one domain. */
  readonly keys: readonly DkimKey[]
  /** Epoch milliseconds; becomes `t=`. */
  readonly signedAtMs: number
  /** Epoch milliseconds; becomes `x=` when given. */
  readonly expiresAtMs?: number
}

/** The signature fields, or the reason why the message must not be sent as it is. */
export type SignResult =
  /** `signatures`: whole DKIM-Signature fields, each with its CRLF; never empty. */
  { readonly kind: 'signed'; readonly signatures: Buffer } | { readonly kind: 'failed'; readonly why: string }

/** One signature to make: the text that it completes and the bytes that it covers. */
export interface SignatureJob {
  readonly key: DkimKey
  /** The field as far as its empty b= value, see `unsignedField`. */
  readonly unsigned: string
  readonly covered: Buffer
}

/** Makes the signatures of one message somewhere else, in the order of the jobs; rejects when one cannot be made. */
export type SignElsewhere = (jobs: readonly SignatureJob[]) => Promise<readonly Buffer[]>

type Preparation =
  | { readonly kind: 'prepared'; readonly jobs: readonly SignatureJob[] }
  | { readonly kind: 'failed'; readonly why: string }

/** Signs on the calling thread: RSA-2048 takes about 0.3 ms per signature. */
export function signMessage(request: SignRequest): SignResult {
  const preparation = prepare(request)
  if (preparation.kind === 'failed') return preparation
  try {
    return complete(preparation.jobs, preparation.jobs.map(makeSignature))
  } catch (error) {
    return failure(error)
  }
}

/**
 * Signs without holding up the event loop; never rejects.
 *
 * @param elsewhere makes the signatures; Node's thread pool when it is not given
 */
export async function signMessageAsync(
  request: SignRequest,
  elsewhere: SignElsewhere = signInPool,
): Promise<SignResult> {
  const preparation = prepare(request)
  if (preparation.kind === 'failed') return preparation
  try {
    return complete(preparation.jobs, await elsewhere(preparation.jobs))
  } catch (error) {
    return failure(error)
  }
}

function prepare(request: SignRequest): Preparation {
  const why = requestFault(request)
  if (why !== undefined) return { kind: 'failed', why }
  const chosen = chooseSignedFields(request.headerFields)
  const header = canonicaliseFields(chosen.fields)
  const jobs = request.keys.map(key => {
    const unsigned = unsignedField({
      algorithm: key.algorithm,
      domain: key.domain,
      selector: key.selector,
      signedAtSec: Math.floor(request.signedAtMs / 1000),
      expiresAtSec: request.expiresAtMs === undefined ? undefined : Math.floor(request.expiresAtMs / 1000),
      names: chosen.names,
      bodyHash: request.bodyHash,
    })
    return { key, unsigned, covered: withSignatureField(header, unsigned) }
  })
  return { kind: 'prepared', jobs }
}

/**
 * RFC 6376 §3.7: the field itself is covered last, with an empty b= and without its CRLF. We wrote it with one blank
 * between words, or a fold instead of one: that is all there is to make canonical.
 */
function withSignatureField(header: Buffer, unsigned: string): Buffer {
  const value = unsigned.slice(unsigned.indexOf(':') + 2).replaceAll('\r\n ', ' ')
  const text = `dkim-signature:${value}`
  const covered = Buffer.allocUnsafe(header.length + text.length)
  header.copy(covered)
  covered.write(text, header.length, 'latin1')
  return covered
}

function requestFault(request: SignRequest): string | undefined {
  const { headerFields, bodyHash, keys, signedAtMs, expiresAtMs } = request
  if (keys.length === 0) return 'there is no key to sign with'
  if (bodyHash.length !== 32) return `the body hash has ${bodyHash.length} bytes instead of 32`
  const froms = headerFields.filter(field => field.name === 'from').length
  if (froms !== 1) return `a message must have one From field to be signed; this one has ${froms}`
  if (!Number.isSafeInteger(Math.floor(signedAtMs)) || signedAtMs < 0)
    return 'the time of signing is not valid'
  if (expiresAtMs !== undefined && !(expiresAtMs >= signedAtMs + 1000)) {
    return 'the signature would expire before it is made'
  }
  for (const key of keys) {
    if (signatureSizes.has(key)) continue
    const fault = keyFault(key)
    if (fault !== undefined) return `${describeKey(key)}: ${fault}`
    signatureSizes.set(key, signatureBytes(key))
  }
  return undefined
}

/** Of keys that passed the check: a key never changes, and asking the crypto library again costs 10 µs a message. */
const signatureSizes = new WeakMap<DkimKey, number>()

function keyFault(key: DkimKey): string | undefined {
  const names = dkimNamesFault(key.domain, key.selector)
  if (names !== undefined) return names
  const check = checkPrivateKey(key.privateKey)
  if (check.kind === 'refused') return check.why
  if (check.algorithm !== key.algorithm) return `the key is for ${check.algorithm}, not for ${key.algorithm}`
  return undefined
}

function describeKey(key: DkimKey): string {
  return `DKIM key ${key.selector}._domainkey.${key.domain}`
}

/**
 * One signature, made on the calling thread; throws what the crypto library throws.
 * RFC 8463 §3: Ed25519 signs the SHA-256 digest of the covered bytes, not the bytes themselves.
 */
export function makeSignature({ key, covered }: Pick<SignatureJob, 'covered'> & SigningKey): Buffer {
  if (key.algorithm === 'rsa-sha256') return sign('sha256', covered, key.privateKey)
  return sign(null, hash('sha256', covered, 'buffer'), key.privateKey)
}

interface SigningKey {
  readonly key: Pick<DkimKey, 'algorithm' | 'privateKey'>
}

function signInPool(jobs: readonly SignatureJob[]): Promise<readonly Buffer[]> {
  const one = (job: SignatureJob): Buffer | Promise<Buffer> => {
    // Ed25519 takes about as long as the way to the thread pool and back.
    if (job.key.algorithm === 'ed25519-sha256') return makeSignature(job)
    return new Promise((resolve, reject) => {
      sign('sha256', job.covered, job.key.privateKey, (error, signature) =>
        error ? reject(error) : resolve(signature),
      )
    })
  }
  return Promise.all(jobs.map(one))
}

function complete(jobs: readonly SignatureJob[], signatures: readonly Buffer[]): SignResult {
  let text = ''
  for (const [i, job] of jobs.entries()) {
    const signature = signatures[i] ?? Buffer.alloc(0)
    const expectedBytes = signatureSizes.get(job.key)
    if (signature.length !== expectedBytes) {
      const why = `signature has ${signature.length} bytes instead of ${expectedBytes}`
      return { kind: 'failed', why: `${describeKey(job.key)}: ${why}` }
    }
    text += signedField(job.unsigned, signature)
  }
  return { kind: 'signed', signatures: Buffer.from(text, 'latin1') }
}

function signatureBytes(key: DkimKey): number {
  if (key.algorithm === 'ed25519-sha256') return 64
  return Math.ceil((key.privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
}

function failure(error: unknown): SignResult {
  return { kind: 'failed', why: `signing failed: ${error instanceof Error ? error.message : String(error)}` }
}

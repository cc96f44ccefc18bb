// Encryption at rest: AES-256-GCM under the key of the data folder, data_dir/secret.key.
//
// Place on the path: DKIM keys are sealed when made and opened when a thread first signs for their domain. The key
// lives outside of the database, so that a copied database alone signs nothing. Invariants: a fresh nonce for every
// sealing; what is sealed for one id cannot be opened as another's.

import { createCipheriv, createDecipheriv } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolderDurably, writeFileDurably } from '../base/index.ts'

const nonceSizeBytes = 12
const tagSizeBytes = 16
const keySizeBytes = 32

/** What is wrong with the key file, in the shape of a configuration problem. */
export interface SecretKeyProblem {
  readonly where: string
  readonly what: string
  readonly hint: string
}

/** `isNew`: the file was made just now. */
export type SecretKeyResult =
  | { readonly ok: true; readonly key: Buffer; readonly isNew: boolean }
  | { readonly ok: false; readonly problem: SecretKeyProblem }

/** Seals and opens small secrets. */
export class SecretBox {
  readonly #key: Buffer
  readonly #randomBytes: (sizeBytes: number) => Buffer

  /** @param key 32 bytes, from {@link loadSecretKey}. */
  constructor(key: Buffer, randomBytes: (sizeBytes: number) => Buffer) {
    this.#key = key
    this.#randomBytes = randomBytes
  }

  /** Encrypts for an id: nonce + ciphertext + tag. */
  seal(id: string, plain: Buffer): Buffer {
    const nonce = this.#randomBytes(nonceSizeBytes)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    cipher.setAAD(Buffer.from(id, 'utf8'))
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /** Decrypts what was sealed for this id; null with another key, another id or changed bytes. */
  open(id: string, sealed: Buffer): Buffer | null {
    if (sealed.length < nonceSizeBytes + tagSizeBytes) return null
    const cipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, nonceSizeBytes), {
      authTagLength: tagSizeBytes,
    })
    cipher.setAAD(Buffer.from(id, 'utf8'))
    cipher.setAuthTag(sealed.subarray(sealed.length - tagSizeBytes))
    try {
      const body = sealed.subarray(nonceSizeBytes, sealed.length - tagSizeBytes)
      return Buffer.concat([cipher.update(body), cipher.final()])
    } catch {
      // The tag does not fit; node names no reason beyond that.
      return null
    }
  }
}

/** Reads data_dir/secret.key, or makes it at the first run. Refuses one that others may read. */
export function loadSecretKey(dataDir: string, randomBytes: (sizeBytes: number) => Buffer): SecretKeyResult {
  const path = join(dataDir, 'secret.key')
  try {
    return readKeyFile(path) ?? makeKeyFile(dataDir, path, randomBytes)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    return fault(
      path,
      `the key of the data folder cannot be used (${code})`,
      'make data_dir and the file readable and writable for the user of the service, and for nobody else',
    )
  }
}

/** null when there is none yet. */
function readKeyFile(path: string): SecretKeyResult | null {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  try {
    const mode = fstatSync(descriptor).mode & 0o777
    if ((mode & 0o077) !== 0)
      return fault(
        path,
        `others than its owner may use the key of the data folder (mode ${mode.toString(8)})`,
        `chmod 600 ${path}`,
      )
    const key = readFileSync(descriptor)
    if (key.length === keySizeBytes) return { ok: true, key, isNew: false }
    return fault(
      path,
      `the key of the data folder has ${key.length} bytes instead of ${keySizeBytes}`,
      'restore it from a backup; only when there are no domains yet, delete it',
    )
  } finally {
    closeSync(descriptor)
  }
}

/** Durable before it is used: losing it later would lose every DKIM key, and half a key would keep us from starting. */
function makeKeyFile(
  dataDir: string,
  path: string,
  randomBytes: (sizeBytes: number) => Buffer,
): SecretKeyResult {
  makeFolderDurably(dataDir)
  const key = randomBytes(keySizeBytes)
  writeFileDurably(path, key, 0o600)
  return { ok: true, key, isNew: true }
}

function fault(where: string, what: string, hint: string): SecretKeyResult {
  return { ok: false, problem: { where, what, hint } }
}

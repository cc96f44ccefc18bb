// Who is this: a user name and secret from AUTH, or a Bearer key, to credential, account and stream.
//
// Place on the path: AUTH of the SMTP door, later every HTTP request. Invariants: the same work is done for an unknown
// user as for a wrong secret, and secrets are compared in constant time, by their hashes.

import { timingSafeEqual } from 'node:crypto'
import type { AccountReader } from './port.ts'
import { hashSecret } from './secret.ts'
import type { Account, Credential, Stream } from './types.ts'

/** The user name of every credential of kind `api`: its secret alone says which it is. */
export const apiUsername = 'apikey'

/** Reasons are for the log; the client is told one and the same thing. */
export type VerifyResult =
  | { readonly ok: true; readonly credential: Credential; readonly account: Account; readonly stream: Stream }
  | { readonly ok: false; readonly reason: 'unknown-user' | 'wrong-secret' | 'incomplete-account' }

/** Compared with when there is no such user: no secret has this hash. */
const nobodyHash: Buffer = Buffer.alloc(32)
const nobody = ''

/** Checks AUTH PLAIN and LOGIN. Synchronous: one SHA-256 and reads from memory. */
export function verifyCredential(reader: AccountReader, username: string, secret: string): VerifyResult {
  const hash = hashSecret(secret)
  const found =
    username === apiUsername ? reader.credentialBySecretHash(hash) : reader.credentialByUsername(username)
  const isEqual = timingSafeEqual(hash, found?.secretHash ?? nobodyHash)
  if (found === null) return { ok: false, reason: 'unknown-user' }
  // A login's secret does not work as an API key: `found` must be of the kind that the user name says.
  if (!isEqual || found.revokedAtMs !== null || found.username !== username) {
    // Readers answer from memory for a name that exists, and ask the store each time for one that does not: whoever
    // measures must not learn which it was.
    reader.credentialByUsername(nobody)
    return { ok: false, reason: 'wrong-secret' }
  }
  const account = reader.accountByKey(found.accountKey)
  const stream = reader.stream(found.streamKey)
  if (account === null || stream === null) return { ok: false, reason: 'incomplete-account' }
  return { ok: true, credential: found, account, stream }
}

/** Checks a Bearer key: the secret of a credential of kind `api`. */
export function verifyApiKey(reader: AccountReader, secret: string): VerifyResult {
  return verifyCredential(reader, apiUsername, secret)
}

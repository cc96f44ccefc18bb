// What a failed login costs: the same for a name that exists as for one that does not. Counted, since times waver.

import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { test } from 'node:test'
import { MemoryAccounts } from './memory-accounts.ts'
import { hashSecret } from './secret.ts'
import type { Credential } from './types.ts'
import { verifyCredential } from './verify.ts'

const known = { username: 'known', secretHash: hashSecret('right'), revokedAtMs: null } as Credential

/** Finds one credential, and counts look-ups that find nothing: those are what the store is asked for each time. */
class CountingAccounts extends MemoryAccounts {
  misses = 0

  override credentialByUsername(username: string): Credential | null {
    if (username === known.username) return known
    this.misses++
    return null
  }
}

/** Hashes made, hashes compared and look-ups that found nothing. */
function costOf(username: string, secret: string): number[] {
  const counts = [0, 0]
  const originals = { createHash: crypto.createHash, timingSafeEqual: crypto.timingSafeEqual }
  crypto.createHash = (...args) => {
    counts[0]!++
    return originals.createHash(...args)
  }
  crypto.timingSafeEqual = (...args) => {
    counts[1]!++
    return originals.timingSafeEqual(...args)
  }
  syncBuiltinESMExports()
  const accounts = new CountingAccounts()
  try {
    assert.equal(verifyCredential(accounts, username, secret).ok, false)
  } finally {
    Object.assign(crypto, originals)
    syncBuiltinESMExports()
  }
  return [...counts, accounts.misses]
}

test('an unknown user costs what a wrong secret costs: one hash, one comparison, one look-up that finds nothing', () => {
  assert.deepEqual(costOf('unknown', 'wrong'), [1, 1, 1])
  assert.deepEqual(costOf(known.username, 'wrong'), [1, 1, 1])
})

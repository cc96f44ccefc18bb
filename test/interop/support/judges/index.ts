// The judges of DKIM signatures, none of which shares code with us or with another.

import { mailAuth } from './mailauth.ts'
import { openDkim } from './opendkim.ts'
import { rspamd } from './rspamd.ts'
import { dkimPy, mailDkim } from './scripts.ts'
import type { Judge, Keys } from './verdict.ts'

export { type JudgeName, judgePrograms } from './programs.ts'
export type { Judge, Keys, Verdict } from './verdict.ts'

/** All of them; what runs is owned by `owned`. */
export async function openCourt(owned: AsyncDisposableStack, keys: Keys): Promise<readonly Judge[]> {
  return [openDkim(keys), dkimPy(keys), mailDkim(keys), mailAuth(keys), owned.use(await rspamd(keys))]
}

/** What `missingPeers` calls the programs of the judges. */
export const courtPeers: readonly string[] = ['opendkim', 'dkimpy', 'dkimpy Ed25519', 'Mail::DKIM', 'rspamd']

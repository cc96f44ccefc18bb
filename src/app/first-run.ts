// The first run without a configuration: an account, a credential and a domain, ready to send.
//
// Runs once, when the store has no account. The secret is shown on the terminal and kept in data/first-run.json for its
// owner (DESIGN section 9); `postrider credential revoke` ends it.

import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AccountService } from '../accounts/index.ts'

/** What `data/first-run.json` holds. */
export interface FirstRun {
  readonly username: string
  readonly secret: string
  readonly smtp: { readonly host: string; readonly port: number }
  readonly http: string
}

/** Makes account `default`, domain `example.test` and a credential; throws when the store refuses. */
export async function setUpFirstRun(
  accounts: AccountService,
  dataDir: string,
  smtp: { host: string; port: number },
  http: string,
): Promise<FirstRun> {
  const account = await accounts.createAccount('default')
  if (!account.ok) throw new Error(account.error.message)
  const domain = await accounts.addDomain({ account: 'default', domain: 'example.test', isTrusted: true })
  if (!domain.ok) throw new Error(domain.error.message)
  const credential = await accounts.createCredential({ account: 'default', kind: 'api' })
  if (!credential.ok) throw new Error(credential.error.message)
  const { username, secret } = credential.value
  const firstRun: FirstRun = { username, secret, smtp, http }
  const path = join(dataDir, 'first-run.json')
  writeFileSync(path, `${JSON.stringify(firstRun, null, 2)}\n`, { mode: 0o600 })
  chmodSync(path, 0o600)
  return firstRun
}

/** The command to paste into a second terminal: curl is on nearly every machine. */
export function sampleCommand(firstRun: FirstRun, dataDir: string): string {
  const { username, secret, smtp } = firstRun
  return [
    `printf 'From: me@example.test\\r\\nTo: you@inbox.test\\r\\nSubject: Hello from Postrider\\r\\n\\r\\nIt works.\\r\\n' |`,
    `  curl --silent --show-error --ssl-reqd --cacert ${join(dataDir, 'tls', 'certificate.pem')} \\`,
    `    --url smtp://${smtp.host}:${smtp.port} --user '${username}:${secret}' \\`,
    `    --mail-from me@example.test --mail-rcpt you@inbox.test --upload-file - --verbose 2>&1 | grep 'Queued as'`,
  ].join('\n')
}

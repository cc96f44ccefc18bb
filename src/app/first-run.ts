// The first run without a configuration: an account, a credential and a domain, ready to send.
//
// 1. The secret is made and written to data/first-run.json, for its owner only.
// 2. Account, domain, credential: a commit each. The credential comes last and holds that secret.
// A process that dies on the way goes on at its next start where it stopped: the file says with which secret, and as long
// as the account has no credential it is unfinished. `postrider credential revoke` ends it for good.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AccountReader, type AccountService, apiUsername, makeSecret } from '../accounts/index.ts'
import { shellWord, writeFileDurably } from '../base/index.ts'
import { formatSocketAddress } from '../config/index.ts'

/** What `data/first-run.json` holds. */
export interface FirstRun {
  readonly username: string
  readonly secret: string
  readonly smtp: { readonly host: string; readonly port: number }
  readonly http: string
}

const accountName = 'default'

/** True before the first run, and after one that did not come to its end. */
export function isFirstRun(reader: AccountReader, dataDir: string): boolean {
  const accounts = reader.accounts()
  if (accounts.length === 0) return true
  // Revoked credentials are listed too: a first run that the operator has ended stays ended.
  const isBare = accounts.length === 1 && reader.credentials(accounts[0]!.key).length === 0
  return isBare && accounts[0]!.name === accountName && readFirstRun(dataDir) !== null
}

/**
 * Makes account `default`, domain `example.test` and a credential, or what is missing of them;
 * throws when the store refuses.
 */
export async function setUpFirstRun(
  accounts: AccountService,
  dataDir: string,
  smtp: { host: string; port: number },
  http: string,
  randomBytes: (sizeBytes: number) => Buffer,
): Promise<FirstRun> {
  const kept = readFirstRun(dataDir)
  const firstRun: FirstRun = {
    username: apiUsername,
    secret: kept?.secret ?? makeSecret(randomBytes),
    smtp,
    http,
  }
  writeFileDurably(join(dataDir, 'first-run.json'), `${JSON.stringify(firstRun, null, 2)}\n`, 0o600)
  const account = await accounts.createAccount(accountName)
  if (!account.ok && account.error.code !== 'exists') throw new Error(account.error.message)
  const domain = await accounts.addDomain({ account: accountName, domain: 'example.test', isTrusted: true })
  if (!domain.ok) throw new Error(domain.error.message)
  const { secret } = firstRun
  const credential = await accounts.createCredential({ account: accountName, kind: 'api', secret })
  if (!credential.ok) throw new Error(credential.error.message)
  return firstRun
}

/** What an earlier run has written; null when there is none, or when it is not ours. */
function readFirstRun(dataDir: string): FirstRun | null {
  try {
    const found = JSON.parse(readFileSync(join(dataDir, 'first-run.json'), 'utf8')) as FirstRun
    return typeof found.secret === 'string' ? found : null
  } catch {
    return null
  }
}

/** The command to paste into a second terminal: curl is on nearly every machine. */
export function sampleCommand(firstRun: FirstRun, dataDir: string): string {
  const { username, secret, smtp } = firstRun
  const certificate = shellWord(join(dataDir, 'tls', 'certificate.pem'))
  return [
    `printf 'From: me@example.test\\r\\nTo: you@inbox.test\\r\\nSubject: Hello from Postrider\\r\\n\\r\\nIt works.\\r\\n' |`,
    `  curl --silent --show-error --ssl-reqd --cacert ${certificate} \\`,
    `    --url smtp://${formatSocketAddress(smtp)} --user '${username}:${secret}' \\`,
    `    --mail-from me@example.test --mail-rcpt you@inbox.test --upload-file - --verbose 2>&1 | grep 'Queued as'`,
  ].join('\n')
}

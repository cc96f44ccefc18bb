import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { AccountService, SecretBox, verifyApiKey } from '../accounts/index.ts'
import { MemoryAccounts } from '../accounts/memory-accounts.ts'
import { IdGenerator } from '../base/index.ts'
import { type FirstRun, isFirstRun, sampleCommand, setUpFirstRun } from './first-run.ts'

const smtp = { host: '127.0.0.1', port: 2587 }

/** Accounts whose store dies at the nth change, as a process does that is killed. */
class DyingAccounts extends MemoryAccounts {
  changesLeft = Number.POSITIVE_INFINITY

  override createAccount(...args: Parameters<MemoryAccounts['createAccount']>) {
    this.#count()
    return super.createAccount(...args)
  }

  override createDomain(...args: Parameters<MemoryAccounts['createDomain']>) {
    this.#count()
    return super.createDomain(...args)
  }

  override createCredential(...args: Parameters<MemoryAccounts['createCredential']>) {
    this.#count()
    return super.createCredential(...args)
  }

  #count(): void {
    if (this.changesLeft-- <= 0) throw new Error('killed')
  }
}

for (const changes of [0, 1, 2])
  test(`a first run that died after ${changes} commits goes on at the next start, with the secret that was written down`, async t => {
    const dataDir = mkdtempSync(join(tmpdir(), 'postrider-first-run-'))
    t.after(() => rmSync(dataDir, { recursive: true, force: true }))
    const accounts = new DyingAccounts()
    const service = new AccountService({
      reader: accounts,
      store: accounts,
      box: new SecretBox(randomBytes(32), randomBytes),
      ids: new IdGenerator(Date.now, randomBytes),
      randomBytes,
      nowMs: Date.now,
      hostname: 'relay.example',
    })
    const setUp = (): Promise<FirstRun> => setUpFirstRun(service, dataDir, smtp, '', randomBytes)
    assert.equal(isFirstRun(accounts, dataDir), true)
    accounts.changesLeft = changes
    await assert.rejects(setUp(), /killed/)
    const written = JSON.parse(readFileSync(join(dataDir, 'first-run.json'), 'utf8')) as FirstRun
    assert.equal(isFirstRun(accounts, dataDir), true)
    accounts.changesLeft = Number.POSITIVE_INFINITY
    const { secret } = await setUp()
    assert.equal(secret, written.secret)
    assert.ok(verifyApiKey(accounts, secret).ok)
    assert.equal(isFirstRun(accounts, dataDir), false)
    // Nor does one begin again that the operator has ended.
    assert.ok((await service.revokeCredential('apikey')).ok)
    assert.equal(isFirstRun(accounts, dataDir), false)
  })

test('the command to paste is one for a shell, whatever the folder is called', () => {
  const firstRun = { username: 'apikey', secret: 'pr_x', smtp: { host: '::1', port: 2587 }, http: '' }
  const dataDir = mkdtempSync(join(tmpdir(), "ann's mail $HOME "))
  const command = sampleCommand(firstRun, dataDir)
  // The shell's own reading of it, with a curl that prints its arguments, one a line.
  const script = `curl() { printf 'Queued as %s\\n' "$@" >&2; }\n${command}\n`
  const shown = execFileSync('sh', ['-c', script], { encoding: 'utf8' })
  rmSync(dataDir, { recursive: true })
  assert.ok(shown.includes(`Queued as ${join(dataDir, 'tls', 'certificate.pem')}\n`), shown)
  assert.ok(shown.includes('Queued as smtp://[::1]:2587\n'), shown)
})

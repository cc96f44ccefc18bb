import assert from 'node:assert/strict'
import { createPublicKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { IdGenerator } from '../base/index.ts'
import { MemoryAccounts } from './memory-accounts.ts'
import { SecretBox } from './secret-box.ts'
import { type AccountResult, AccountService } from './service.ts'
import { SigningKeys } from './signing-keys.ts'
import { verifyApiKey, verifyCredential } from './verify.ts'

const nowMs = Date.UTC(2026, 10, 23)

async function setUp(): Promise<{ service: AccountService; accounts: MemoryAccounts; box: SecretBox }> {
  const accounts = new MemoryAccounts()
  const box = new SecretBox(randomBytes(32), randomBytes)
  const ids = new IdGenerator(() => nowMs, randomBytes)
  const service = new AccountService({
    reader: accounts,
    store: accounts,
    box,
    ids,
    randomBytes,
    nowMs: () => nowMs,
    hostname: 'relay.example.com',
  })
  value(await service.createAccount('default'))
  return { service, accounts, box }
}

function value<T>(result: AccountResult<T>): T {
  assert.ok(result.ok, result.ok ? '' : result.error.message)
  return result.value
}

function code(result: AccountResult<unknown>): string {
  return result.ok ? 'ok' : result.error.code
}

test('an account has an id, a name that nobody else has, and a stream called default', async () => {
  const { service, accounts } = await setUp()
  const made = value(await service.createAccount('shop-1'))
  assert.match(made.id, /^acc_[a-z2-7]{26}$/)
  assert.equal(made.name, 'shop-1')
  assert.equal(accounts.defaultStream(accounts.accountByName('shop-1')!.key)?.failureReport, 'event')
  assert.equal(code(await service.createAccount('shop-1')), 'exists')
  for (const name of ['', 'Shop', 'a b', '-a', 'ä', 'a'.repeat(65), made.id])
    assert.equal(code(await service.createAccount(name)), 'invalid', name)
  assert.deepEqual(
    service.listAccounts().map(one => one.name),
    ['default', 'shop-1'],
  )
})

test('credentials of both kinds log in with what was shown, and nothing else does', async () => {
  const { service, accounts } = await setUp()
  const login = value(await service.createCredential({ account: 'default', kind: 'smtp' }))
  const key = value(await service.createCredential({ account: 'default', kind: 'api' }))
  assert.match(login.secret, /^pr_[a-z2-7]{52}$/)
  assert.match(login.username, /^default-[a-z2-7]{8}$/)
  assert.equal(key.username, 'apikey')
  for (const { username, secret, id } of [login, key]) {
    const result = verifyCredential(accounts, username, secret)
    assert.ok(result.ok)
    assert.equal(result.credential.id, id)
    assert.equal(result.account.name, 'default')
    assert.equal(result.stream.name, 'default')
  }
  const refused: [string, string, string][] = [
    [login.username, key.secret, 'wrong-secret'],
    [login.username, '', 'wrong-secret'],
    ['apikey', login.secret, 'wrong-secret'],
    ['apikey', `${key.secret}x`, 'unknown-user'],
    ['nobody', login.secret, 'unknown-user'],
    ['APIKEY', key.secret, 'unknown-user'],
  ]
  for (const [username, secret, reason] of refused)
    assert.deepEqual(verifyCredential(accounts, username, secret), { ok: false, reason })
  assert.equal(verifyApiKey(accounts, key.secret).ok, true)
  assert.equal(verifyApiKey(accounts, login.secret).ok, false)
})

test('a secret is told once: no list and no record holds it or its hash', async () => {
  const { service, accounts } = await setUp()
  const { secret } = value(await service.createCredential({ account: 'default', kind: 'smtp' }))
  const listed = JSON.stringify([...value(service.listCredentials())])
  assert.ok(!listed.includes(secret))
  assert.ok(!listed.includes('Hash'))
  const stored = accounts.credentials(accounts.accountByName('default')!.key)
  assert.ok(!JSON.stringify(stored).includes(secret))
})

test('a revoked credential is refused at once, and revoking needs to be unambiguous', async () => {
  const { service, accounts } = await setUp()
  const first = value(await service.createCredential({ account: 'default', kind: 'api' }))
  const second = value(await service.createCredential({ account: 'default', kind: 'api' }))
  assert.equal(code(await service.revokeCredential('apikey')), 'ambiguous')
  assert.equal(code(await service.revokeCredential('nobody')), 'not-found')
  const revoked = value(await service.revokeCredential(first.id))
  assert.equal(revoked.revokedAt, '2026-11-23T00:00:00.000Z')
  assert.equal(verifyCredential(accounts, 'apikey', first.secret).ok, false)
  assert.equal(verifyCredential(accounts, 'apikey', second.secret).ok, true)
  assert.equal(value(await service.revokeCredential(first.id)).revokedAt, revoked.revokedAt)
})

test('credentials carry their stream and what their old devices need', async () => {
  const { service } = await setUp()
  value(
    await service.createCredential({ account: 'default', kind: 'smtp', longLines: 'encode', bareLf: 'mend' }),
  )
  const [listed] = value(service.listCredentials('default'))
  assert.deepEqual([listed?.stream, listed?.longLines, listed?.bareLf], ['default', 'encode', 'mend'])
  assert.equal(
    code(await service.createCredential({ account: 'default', kind: 'smtp', stream: 'news' })),
    'not-found',
  )
  const missing = await service.createCredential({ account: 'nobody', kind: 'smtp' })
  assert.ok(!missing.ok)
  assert.equal(
    missing.error.hint,
    'postrider account list shows which there are; to make it: postrider account create nobody',
  )
})

test('a trusted domain has two keys at once, whose records fit, and signs', async () => {
  const { service, accounts, box } = await setUp()
  const domain = value(
    await service.addDomain({ account: 'default', domain: 'Münch.Example.', isTrusted: true }),
  )
  assert.equal(domain.domain, 'xn--mnch-0ra.example')
  assert.equal(domain.status, 'trusted')
  assert.deepEqual(
    domain.records.map(one => one.purpose),
    ['dkim', 'dkim', 'spf', 'dmarc'],
  )
  const account = accounts.accountByName('default')!
  const result = new SigningKeys(accounts, box).keysFor(account.key, 'xn--mnch-0ra.example')
  assert.ok(result.kind === 'keys')
  for (const key of result.keys) {
    const record = domain.records.find(one => one.name === `${key.selector}._domainkey.xn--mnch-0ra.example`)
    const published = record?.value.split('p=')[1]
    const der = createPublicKey(key.privateKey as never).export({ type: 'spki', format: 'der' })
    assert.ok(der.toString('base64') === published || der.subarray(-32).toString('base64') === published)
  }
  assert.deepEqual(result.keys.map(one => one.algorithm).sort(), ['ed25519-sha256', 'rsa-sha256'])
  assert.equal(
    code(await service.addDomain({ account: 'default', domain: 'xn--mnch-0ra.example' })),
    'exists',
  )
})

test('a domain without the operator’s word is pending, asks for a proof of its own, and does not sign', async () => {
  const { service, accounts, box } = await setUp()
  const domain = value(await service.addDomain({ account: 'default', domain: 'a.example' }))
  assert.equal(domain.status, 'pending')
  assert.deepEqual(domain.records[0], {
    type: 'TXT',
    name: '_postrider.a.example',
    value: `postrider-domain=${domain.id}`,
    purpose: 'ownership',
    status: 'unchecked',
  })
  const account = accounts.accountByName('default')!
  assert.deepEqual(new SigningKeys(accounts, box).keysFor(account.key, 'a.example'), { kind: 'unsigned' })
})

test('a pending domain becomes trusted when the operator vouches for it, with its own keys, however often', async () => {
  const { service, accounts, box } = await setUp()
  const request = { account: 'default', domain: 'a.example' }
  const pending = value(await service.addDomain(request))
  const again = await service.addDomain(request)
  assert.ok(!again.ok)
  assert.match(again.error.hint, /postrider domain add --account default a\.example --trust/)
  const trusted = value(await service.addDomain({ ...request, isTrusted: true }))
  const withoutProof = pending.records.filter(one => one.purpose !== 'ownership')
  assert.deepEqual(trusted, { ...pending, status: 'trusted', records: withoutProof })
  assert.deepEqual(value(await service.addDomain({ ...request, isTrusted: true })), trusted)
  assert.deepEqual(value(service.showDomain('a.example')), trusted)
  const account = accounts.accountByName('default')!
  assert.equal(new SigningKeys(accounts, box).keysFor(account.key, 'a.example').kind, 'keys')
})

test('vouching for a domain of another account adds one of our own and leaves theirs pending', async () => {
  const { service } = await setUp()
  value(await service.createAccount('other'))
  value(await service.addDomain({ account: 'other', domain: 'a.example' }))
  value(await service.addDomain({ account: 'default', domain: 'a.example', isTrusted: true }))
  assert.equal(value(service.showDomain('a.example', 'other')).status, 'pending')
})

test('a domain added without DKIM has no keys and leaves unsigned', async () => {
  const { service, accounts, box } = await setUp()
  const domain = value(
    await service.addDomain({ account: 'default', domain: 'a.example', isTrusted: true, signs: false }),
  )
  assert.equal(domain.dkim, false)
  assert.deepEqual(
    domain.records.map(one => one.purpose),
    ['spf', 'dmarc'],
  )
  const account = accounts.accountByName('default')!
  assert.deepEqual(new SigningKeys(accounts, box).keysFor(account.key, 'a.example'), { kind: 'unsigned' })
})

test('vouching without DKIM for a domain that has keys is an error, since it would go on signing', async () => {
  const { service } = await setUp()
  const request = { account: 'default', domain: 'a.example' }
  const pending = value(await service.addDomain(request))
  const refused = await service.addDomain({ ...request, isTrusted: true, signs: false })
  assert.ok(!refused.ok)
  assert.equal(refused.error.code, 'exists')
  assert.match(refused.error.message, /a\.example.*--no-dkim/)
  assert.deepEqual(value(service.showDomain('a.example')), pending, 'nothing of it was done')
  const unsigned = { account: 'default', domain: 'b.example', signs: false }
  value(await service.addDomain(unsigned))
  assert.equal(value(await service.addDomain({ ...unsigned, isTrusted: true })).status, 'trusted')
})

test('a domain of two accounts is shown only when the account is named', async () => {
  const { service } = await setUp()
  value(await service.createAccount('other'))
  for (const account of ['default', 'other']) value(await service.addDomain({ account, domain: 'a.example' }))
  assert.equal(code(service.showDomain('a.example')), 'ambiguous')
  const one = value(service.showDomain('a.example', 'other'))
  assert.equal(one.account, 'other')
  assert.equal(value(service.showDomain(one.id)).id, one.id)
  assert.equal(code(service.showDomain('b.example')), 'not-found')
  assert.equal([...value(service.listDomains())].length, 2)
})

test('a stream’s failure report and priority can be changed, within bounds', async () => {
  const { service } = await setUp()
  const changed = value(
    await service.updateStream('default', 'default', { failureReport: 'event+dsn', priority: 0 }),
  )
  assert.deepEqual([changed.failureReport, changed.priority], ['event+dsn', 0])
  for (const priority of [-1, 10, 1.5])
    assert.equal(code(await service.updateStream('default', 'default', { priority })), 'invalid')
})

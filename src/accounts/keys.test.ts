import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { formatId, IdGenerator } from '../base/index.ts'
import { makeDomainKeys } from './domain-keys.ts'
import { maySendAs } from './may-send.ts'
import { MemoryAccounts } from './memory-accounts.ts'
import { loadSecretKey, SecretBox } from './secret-box.ts'
import { SigningKeys } from './signing-keys.ts'
import type { Domain, DomainKey } from './types.ts'

const folder = mkdtempSync(join(tmpdir(), 'postrider-accounts-'))
after(() => rmSync(folder, { recursive: true }))

const ids = new IdGenerator(() => 1_700_000_000_000, randomBytes)
const box = new SecretBox(randomBytes(32), randomBytes)

type NewKey = Omit<DomainKey, 'key' | 'domainKey'>

async function withDomain(keys: readonly NewKey[], more: Partial<Domain> = {}): Promise<MemoryAccounts> {
  const accounts = new MemoryAccounts()
  const createdAtMs = 0
  const account = await accounts.createAccount(
    { id: formatId('acc', ids.next()), name: 'a', createdAtMs },
    {
      id: formatId('str', ids.next()),
      name: 'default',
      kind: 'transactional',
      failureReport: 'event',
      priority: 5,
    },
  )
  assert.ok(account !== 'exists')
  const domain = { id: formatId('dom', ids.next()), accountKey: account.key, name: 'a.example', createdAtMs }
  await accounts.createDomain({ ...domain, status: 'trusted', signs: true, ...more }, keys)
  return accounts
}

async function freshKeys(): Promise<NewKey[]> {
  return await makeDomainKeys({ ids, box, randomBytes, nowMs: () => 0 })
}

test('what is sealed opens again, and only for the same id, with the same key and unchanged', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(), (bytes, at) => {
      const plain = Buffer.from(bytes)
      const sealed = box.seal('key_a', plain)
      assert.deepEqual(box.open('key_a', sealed), plain)
      assert.equal(box.open('key_b', sealed), null)
      const changed = Buffer.from(sealed)
      changed[at % changed.length]! ^= 1
      assert.equal(box.open('key_a', changed), null)
      assert.equal(new SecretBox(randomBytes(32), randomBytes).open('key_a', sealed), null)
    }),
  )
  assert.equal(box.open('key_a', Buffer.alloc(5)), null)
})

test('the key of the data folder is made once, for its owner only, and read again', () => {
  const dataDir = join(folder, 'new', 'data')
  const made = loadSecretKey(dataDir, randomBytes)
  assert.ok(made.ok && made.isNew)
  assert.equal(statSync(join(dataDir, 'secret.key')).mode & 0o777, 0o600)
  const again = loadSecretKey(dataDir, randomBytes)
  assert.ok(again.ok && !again.isNew)
  assert.deepEqual(again.key, made.key)
})

test('a key file that others may read, of the wrong size, or out of reach is one sentence with what to do', () => {
  const dataDir = mkdtempSync(join(folder, 'bad-'))
  const path = join(dataDir, 'secret.key')
  const problem = (where = dataDir) => {
    const result = loadSecretKey(where, randomBytes)
    assert.ok(!result.ok)
    return result.problem
  }
  writeFileSync(path, randomBytes(32))
  chmodSync(path, 0o640)
  assert.match(problem().what, /others than its owner may use .* \(mode 640\)/)
  assert.equal(problem().hint, `chmod 600 ${path}`)
  chmodSync(path, 0o600)
  writeFileSync(path, 'short')
  assert.match(problem().what, /5 bytes instead of 32/)
  assert.match(problem(path).what, /cannot be used \(ENOTDIR\)/)
})

test('an account sends as exactly its domains: neither their sub-domains nor those of others nor pending ones', async () => {
  const accounts = await withDomain([])
  const { key } = accounts.accountByName('a')!
  assert.equal(maySendAs(accounts, key, 'a.example').ok, true)
  for (const domain of ['sub.a.example', 'example', 'b.example', ''])
    assert.deepEqual(maySendAs(accounts, key, domain), { ok: false, reason: 'not-owned' })
  assert.deepEqual(maySendAs(accounts, key + 1, 'a.example'), { ok: false, reason: 'not-owned' })
  const pending = await withDomain([], { status: 'pending' })
  assert.deepEqual(maySendAs(pending, key, 'a.example'), { ok: false, reason: 'pending' })
})

test('a domain that signs fails closed when its keys are missing, retired, sealed otherwise or broken', async () => {
  const [rsa, ed] = (await freshKeys()) as [NewKey, NewKey]
  const why = async (keys: NewKey[]) => {
    const accounts = await withDomain(keys)
    const result = new SigningKeys(accounts, box).keysFor(accounts.accountByName('a')!.key, 'a.example')
    return result.kind === 'failed' ? result.why : result.kind
  }
  assert.equal(await why([rsa, ed]), 'keys')
  assert.match(await why([]), /a\.example signs, and has no active key/)
  assert.match(await why([{ ...rsa, status: 'retired' }]), /no active key/)
  assert.match(await why([rsa, { ...ed, id: rsa.id }]), /cannot be decrypted with secret\.key/)
  assert.match(
    await why([rsa, { ...ed, encryptedPrivateKey: box.seal(ed.id, Buffer.from('x')) }]),
    /cannot be used/,
  )
  assert.match(await why([{ ...rsa, algorithm: 'ed25519-sha256' }]), /is not a key for ed25519/)
})

test('opened keys are kept until they are forgotten, and selectors differ from domain to domain', async () => {
  const keys = await freshKeys()
  const accounts = await withDomain(keys)
  const { key } = accounts.accountByName('a')!
  const signing = new SigningKeys(accounts, box)
  const first = signing.keysFor(key, 'a.example')
  assert.equal(signing.keysFor(key, 'a.example'), first)
  signing.forget()
  assert.notEqual(signing.keysFor(key, 'a.example'), first)
  assert.notEqual((await freshKeys())[0]?.selector, keys[0]?.selector)
  assert.match(keys[0]!.selector, /^pr-[a-z2-7]{6}-rsa$/)
})

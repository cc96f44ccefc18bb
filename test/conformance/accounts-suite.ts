// What every store must do for accounts: changes are durable and unique, readers cache until told to forget.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Account, Credential, Domain, DomainKey } from '../../src/accounts/index.ts'
import { type StartStore, startMs, TestStore } from './support.ts'

async function newAccount(opened: TestStore, name: string): Promise<Account> {
  const account = await opened.line.accountStore.createAccount(
    { id: `acc_${name}`, name, createdAtMs: startMs },
    { id: `str_${name}`, name: 'default', kind: 'transactional', failureReport: 'event', priority: 5 },
  )
  assert.ok(account !== 'exists')
  return account
}

function credential(
  account: Account,
  name: string,
  change: Partial<Credential> = {},
): Omit<Credential, 'key'> {
  return {
    id: `crd_${name}`,
    accountKey: account.key,
    streamKey: 1,
    kind: 'smtp',
    username: name,
    secretHash: Buffer.alloc(32, name),
    longLines: 'refuse',
    bareLf: 'mend',
    createdAtMs: startMs,
    revokedAtMs: null,
    ...change,
  }
}

const key = (selector: string): Omit<DomainKey, 'key' | 'domainKey'> => ({
  id: `key_${selector}`,
  selector,
  algorithm: 'ed25519-sha256',
  encryptedPrivateKey: Buffer.from([1, 2, 3]),
  publicRecord: 'v=DKIM1; k=ed25519; p=AAAA',
  status: 'active',
  createdAtMs: startMs,
})

const domain = (account: Account, name: string): Omit<Domain, 'key'> => ({
  id: `dom_${account.name}_${name}`,
  accountKey: account.key,
  name,
  status: 'pending',
  signs: true,
  createdAtMs: startMs,
})

/** Registers the cases under the implementation's name. */
export function accountsSuite(name: string, start: StartStore): void {
  suite(`accounts, ${name}`, () => {
    test('an account is found by key, name and id, with its default stream, also after a restart', async () => {
      await using opened = await TestStore.open(start)
      const account = await newAccount(opened, 'shop')
      await opened.restart(startMs)
      const reader = opened.line.accounts
      assert.deepEqual(reader.accountByKey(account.key), account)
      assert.deepEqual(reader.accountByName('shop'), account)
      assert.deepEqual(reader.accountById('acc_shop'), account)
      assert.deepEqual(reader.accounts(), [account])
      const stream = reader.defaultStream(account.key)
      assert.equal(stream?.failureReport, 'event')
      assert.deepEqual(reader.stream(stream!.key), stream)
      assert.deepEqual(reader.streams(account.key), [stream])
    })

    test('names that are taken answer exists and change nothing', async () => {
      await using opened = await TestStore.open(start)
      const account = await newAccount(opened, 'shop')
      const store = opened.line.accountStore
      const again = await store.createAccount(
        { id: 'acc_2', name: 'shop', createdAtMs: startMs },
        { id: 'str_2', name: 'default', kind: 'transactional', failureReport: 'event', priority: 5 },
      )
      assert.equal(again, 'exists')
      assert.ok((await store.createCredential(credential(account, 'one'))) !== 'exists')
      assert.equal(await store.createCredential(credential(account, 'one', { id: 'crd_x' })), 'exists')
      assert.ok((await store.createDomain(domain(account, 'shop.example'), [])) !== 'exists')
      assert.equal(
        await store.createDomain({ ...domain(account, 'shop.example'), id: 'dom_x' }, []),
        'exists',
      )
      assert.equal(opened.line.accounts.accounts().length, 1)
      assert.equal(opened.line.accounts.credentials(account.key).length, 1)
    })

    test('two accounts may have the same domain, and API keys share a user name', async () => {
      await using opened = await TestStore.open(start)
      const [a, b] = [await newAccount(opened, 'a'), await newAccount(opened, 'b')]
      const store = opened.line.accountStore
      for (const account of [a, b]) {
        assert.ok((await store.createDomain(domain(account, 'same.example'), [])) !== 'exists')
        const api = credential(account, account.name, { kind: 'api', username: 'apikey' })
        assert.ok((await store.createCredential(api)) !== 'exists')
      }
      assert.equal(opened.line.accounts.domain(b.key, 'same.example')?.accountKey, b.key)
      assert.equal(opened.line.accounts.credentialBySecretHash(Buffer.alloc(32, 'b'))?.accountKey, b.key)
      assert.equal(opened.line.accounts.credentialByUsername('apikey'), null)
    })

    test('a revoked credential is in force until readers forget, and not found afterwards', async () => {
      await using opened = await TestStore.open(start)
      const account = await newAccount(opened, 'shop')
      const made = await opened.line.accountStore.createCredential(credential(account, 'one'))
      assert.ok(made !== 'exists')
      const reader = opened.line.accounts
      assert.deepEqual(reader.credentialByUsername('one'), made)
      assert.equal(await opened.line.accountStore.revokeCredential(made.key, startMs + 5), true)
      assert.equal(await opened.line.accountStore.revokeCredential(made.key, startMs + 6), false)
      reader.forget()
      assert.equal(reader.credentialByUsername('one'), null)
      assert.equal(reader.credentialBySecretHash(made.secretHash), null)
      assert.equal(reader.credentials(account.key)[0]?.revokedAtMs, startMs + 5)
    })

    test('a domain keeps its keys, byte by byte, and its status can change', async () => {
      await using opened = await TestStore.open(start)
      const account = await newAccount(opened, 'shop')
      const made = await opened.line.accountStore.createDomain(domain(account, 'shop.example'), [
        key('pr1'),
        key('pr2'),
      ])
      assert.ok(made !== 'exists')
      const keys = opened.line.accounts.keysOf(made.key)
      assert.deepEqual(
        keys.map(({ key: _, ...rest }) => rest),
        ['pr1', 'pr2'].map(selector => ({ ...key(selector), domainKey: made.key })),
      )
      assert.ok(Buffer.isBuffer(keys[0]?.encryptedPrivateKey))
      assert.equal(await opened.line.accountStore.setDomainStatus(made.key, 'trusted'), true)
      opened.line.accounts.forget()
      assert.equal(opened.line.accounts.domain(account.key, 'shop.example')?.status, 'trusted')
      assert.equal(opened.line.accounts.domains(account.key).length, 1)
    })

    test('a stream changes only in what the change names', async () => {
      await using opened = await TestStore.open(start)
      const account = await newAccount(opened, 'shop')
      const before = opened.line.accounts.defaultStream(account.key)!
      assert.equal(
        await opened.line.accountStore.updateStream(before.key, { failureReport: 'event+dsn' }),
        true,
      )
      assert.equal(await opened.line.accountStore.updateStream(999, { priority: 1 }), false)
      opened.line.accounts.forget()
      assert.deepEqual(opened.line.accounts.stream(before.key), { ...before, failureReport: 'event+dsn' })
    })
  })

  suite(`hosts, ${name}`, () => {
    test('a host that spoke TLS is remembered across restarts and seen by other threads', async () => {
      await using opened = await TestStore.open(start)
      assert.equal(opened.line.hosts.lastTlsAtMs('mx.example.net'), 0)
      opened.line.hosts.noteTls('mx.example.net', startMs)
      assert.equal(opened.line.hosts.lastTlsAtMs('mx.example.net'), startMs)
      // An answered request after it: the note has been committed.
      await opened.line.control.pruneEvents(0)
      await using other = opened.another(1)
      assert.equal(other.hosts.lastTlsAtMs('mx.example.net'), startMs)
      await opened.restart(startMs + 1000)
      assert.equal(opened.line.hosts.lastTlsAtMs('mx.example.net'), startMs)
    })

    test('a thread that met the host without TLS learns within a second that another one met it with TLS', async () => {
      await using opened = await TestStore.open(start)
      let nowMs = startMs
      await using other = opened.another(1, () => nowMs)
      assert.equal(other.hosts.lastTlsAtMs('mx.example.net'), 0)
      opened.line.hosts.noteTls('mx.example.net', startMs)
      await opened.line.control.pruneEvents(0)
      nowMs += 1_000
      assert.equal(other.hosts.lastTlsAtMs('mx.example.net'), startMs)
    })
  })
}

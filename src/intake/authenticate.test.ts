// What a login waits for: nothing when it is right, and for a refusal the longer the more its address has guessed.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { MemoryAccounts } from '../accounts/memory-accounts.ts'
import { hashSecret } from '../accounts/secret.ts'
import { AddressGuard } from './address-guard.ts'
import { Authenticator } from './authenticate.ts'
import { DoorCounts } from './door-counts.ts'
import { allocateDoorMemory } from './door-memory.ts'
import { LoginFailures } from './login-failures.ts'

const address = '192.0.2.1'

/** An account with one login; `delays` notes what was waited for, and `isHeld` makes waits last for ever. */
async function setUp(isHeld: boolean) {
  const accounts = new MemoryAccounts()
  const account = await accounts.createAccount(
    { id: 'acc_x', name: 'acme', createdAtMs: 0 },
    { id: 'str_x', name: 'default', kind: 'transactional', failureReport: 'event', priority: 5 },
  )
  assert.ok(account !== 'exists')
  await accounts.createCredential({
    id: 'crd_x',
    accountKey: account.key,
    streamKey: accounts.defaultStream(account.key)!.key,
    kind: 'smtp',
    username: 'acme-1',
    secretHash: hashSecret('right'),
    longLines: 'refuse',
    bareLf: 'refuse',
    createdAtMs: 0,
    revokedAtMs: null,
  })
  const memory = allocateDoorMemory(randomBytes)
  const limits = {
    connectionsPerAddressMax: 50,
    connectionsPerMinuteMax: 60,
    freeAuthFailures: 3,
    authDelayMsMax: 10_000,
  }
  const guard = new AddressGuard(limits, new DoorCounts(memory.counts), new LoginFailures(memory.failures), {
    nowMs: () => 1_000_000,
  })
  const delays: number[] = []
  const authenticator = new Authenticator(accounts, guard, async ms => {
    delays.push(ms)
    if (isHeld) await new Promise(() => undefined)
  })
  const login = (password: string) =>
    authenticator.authenticate(
      { mechanism: 'PLAIN', authorizationId: '', username: 'acme-1', password },
      address,
    )
  return { login, delays }
}

test('a right login never waits, however much was guessed from its address; refusals wait longer and longer', async () => {
  const { login, delays } = await setUp(false)
  for (let guess = 0; guess < 7; guess++) assert.equal((await login('wrong')).kind, 'refused')
  assert.deepEqual(delays, [1000, 2000, 3000])
  assert.equal((await login('right')).kind, 'authenticated')
  assert.equal(delays.length, 3, 'it did not wait')
})

test('guesses at the same time are counted at once, and each waits longer than the one before', async () => {
  const { login, delays } = await setUp(true)
  for (let guess = 0; guess < 20; guess++) void login('wrong')
  assert.deepEqual(delays.slice(0, 4), [1000, 2000, 3000, 4000])
  assert.equal(delays.at(-1), 10_000)
})

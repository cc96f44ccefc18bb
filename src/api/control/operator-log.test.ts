// What the log says of an operator's changes: each once, with counts and filter, and never a secret.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arguments } from './command.ts'
import { controlCommands } from './commands.ts'
import type { ControlOutcome } from './index.ts'
import { ControlTestBed } from './test-kit.ts'

type Given = Readonly<Record<string, unknown>>

async function call(
  bed: ControlTestBed,
  command: string,
  given: Given,
  signal: AbortSignal = new AbortController().signal,
): Promise<ControlOutcome> {
  return await controlCommands(bed.ports())[command]!(new Arguments(given), { item: async () => {}, signal })
}

async function made(bed: ControlTestBed, command: string, given: Given): Promise<Record<string, unknown>> {
  const outcome = await call(bed, command, given)
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.message)
  return outcome.value as Record<string, unknown>
}

test('changes of accounts, credentials, domains and streams are told with their ids and without secrets', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  const event = 'operator.action'
  const account = await made(bed, 'account.create', { name: 'shop' })
  const credential = await made(bed, 'credential.create', { account: 'shop' })
  const domain = await made(bed, 'domain.add', { account: 'shop', domain: 'Shop.Example', trust: true })
  const stream = await made(bed, 'stream.update', { account: 'shop', stream: 'default', priority: 3 })
  await made(bed, 'credential.revoke', { credential: credential['id'] })
  const login = {
    event,
    account: 'shop',
    id: credential['id'],
    kind: 'smtp',
    username: credential['username'],
  }
  assert.deepEqual(bed.logged, [
    { event, command: 'account.create', account: 'shop', id: account['id'] },
    { ...login, command: 'credential.create' },
    {
      event,
      command: 'domain.add',
      account: 'shop',
      domain: 'shop.example',
      id: domain['id'],
      status: 'trusted',
      dkim: true,
    },
    {
      event,
      command: 'stream.update',
      account: 'shop',
      stream: 'default',
      id: stream['id'],
      change: { priority: 3 },
    },
    { ...login, command: 'credential.revoke' },
  ])
  assert.ok(!JSON.stringify(bed.logged).includes(String(credential['secret'])))
})

test('what changes nothing is not told: a list, a refusal', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  await call(bed, 'account.create', { name: 'not a name' })
  await call(bed, 'credential.create', { account: 'nobody' })
  await call(bed, 'credential.revoke', { credential: 'nobody' })
  await call(bed, 'queue.act', { action: 'hold', state: 'leased' })
  for (const command of ['account.list', 'credential.list', 'domain.list', 'stream.list', 'queue.list'])
    await made(bed, command, {})
  assert.deepEqual(bed.logged, [])
})

test('a queue action is told with its filter and counts', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  await bed.accept({ to: ['a@one.test', 'b@two.test'] })
  await bed.accept({ to: ['c@one.test'], startState: 'leased' })
  await made(bed, 'queue.act', { action: 'hold', domain: 'one.test', note: 'list was wrong' })
  await made(bed, 'queue.act', { action: 'reroute', smarthost: 'relay.example:25' })
  const told = { event: 'operator.action', command: 'queue.act', inFlight: 1, isWhole: true }
  assert.deepEqual(bed.logged, [
    { ...told, action: 'hold', note: 'list was wrong', filter: { domain: 'one.test' }, done: 1 },
    { ...told, action: 'reroute', smarthost: 'relay.example:25', filter: {}, done: 2 },
  ])
})

test('a queue action that ends halfway is told with what it did', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  await bed.accept({ to: Array.from({ length: 1500 }, (_, i) => `to${i}@one.test`) })
  const gone = new AbortController()
  const act = controlCommands(bed.ports())['queue.act']!
  const item = async (value: unknown): Promise<void> => {
    if ((value as { done: number }).done > 0) gone.abort()
  }
  await act(new Arguments({ action: 'expire' }), { item, signal: gone.signal })
  assert.deepEqual(bed.logged, [
    {
      event: 'operator.action',
      command: 'queue.act',
      action: 'expire',
      filter: {},
      done: 1000,
      inFlight: 0,
      isWhole: false,
    },
  ])
})

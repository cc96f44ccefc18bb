// Queue actions hold up all leasing while they run: so nothing outside may hold them up.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { Arguments } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { queueCommands } from './queue.ts'
import { ControlTestBed } from './test-kit.ts'
import type { ControlOutcome } from './wire.ts'

const hold = (ports: ControlPorts, call: Parameters<NonNullable<Command>>[1]): Promise<ControlOutcome> =>
  queueCommands(ports)['queue.act']!(new Arguments({ action: 'hold' }), call)

const act = async (...given: Parameters<typeof hold>): Promise<unknown> => {
  const outcome = await hold(...given)
  assert.ok(outcome.ok)
  return outcome.value
}
type Command = ReturnType<typeof queueCommands>[string]

test('an action whose caller went away while it waited for its turn recalls nothing', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  const call = { item: async () => {}, signal: AbortSignal.abort() }
  const outcome = await hold(bed.ports(), call)
  assert.equal(outcome.ok ? '' : outcome.error.code, 'cancelled')
  assert.deepEqual(bed.told, [])
})

test('an action that is broken off between two steps says how far it came, and is no success', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  const ports = bed.ports()
  const gone = new AbortController()
  const queue = {
    ...ports.queue,
    count: async () => ({ scheduled: 10_000, leased: 0, held: 0 }),
    act: async () => {
      gone.abort()
      return { done: 1000, cursor: '1' }
    },
  } as unknown as ControlPorts['queue']
  const outcome = await hold({ ...ports, queue }, { item: async () => {}, signal: gone.signal })
  assert.ok(!outcome.ok)
  assert.equal(outcome.error.code, 'cancelled')
  assert.match(outcome.error.message, /done to 1000 recipients/)
  assert.deepEqual(bed.told, ['recall', 'wake'])
})

test('a client that closes its half of the connection behind its request is not told of a success', async () => {
  await using bed = await ControlTestBed.open()
  await bed.accept({ to: ['a@one.test'] })
  const client = connect({ path: bed.serverPath, allowHalfOpen: true })
  client.end('{"id":1,"command":"queue.act","arguments":{"action":"hold"}}\n')
  const lines = (await text(client)).trimEnd().split('\n')
  const answer = JSON.parse(lines.at(-1)!) as { result?: { done: number }; error?: { code: string } }
  const { held } = await bed.store.control.count({})
  // The action may have been through before the end was seen.
  assert.deepEqual(
    [answer.error?.code, answer.result?.done],
    held === 1 ? [undefined, 1] : ['cancelled', undefined],
  )
})

test('an action goes on while its caller does not read, with one item under way', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  const ports = bed.ports()
  let steps = 0
  const queue = {
    ...ports.queue,
    count: async () => ({ scheduled: 10_000, leased: 0, held: 0 }),
    act: async () => ({ done: 1000, cursor: ++steps < 10 ? `${steps}` : null }),
  } as unknown as ControlPorts['queue']
  const items: unknown[] = []
  const item = (value: unknown): Promise<void> => {
    items.push(value)
    return new Promise(() => {})
  }
  const done = await act({ ...ports, queue }, { item, signal: new AbortController().signal })
  assert.deepEqual(done, { action: 'hold', done: 10_000, inFlight: 0, recalled: 0 })
  assert.deepEqual(items, [{ done: 0, total: 10_000 }])
  assert.deepEqual(bed.told, ['recall', 'wake'])
})

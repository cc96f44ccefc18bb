// Queue actions hold up all leasing while they run: so nothing outside may hold them up.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arguments } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { queueCommands } from './queue.ts'
import { ControlTestBed } from './test-kit.ts'

const act = async (ports: ControlPorts, call: Parameters<NonNullable<Command>>[1]): Promise<unknown> => {
  const outcome = await queueCommands(ports)['queue.act']!(new Arguments({ action: 'hold' }), call)
  assert.ok(outcome.ok)
  return outcome.value
}
type Command = ReturnType<typeof queueCommands>[string]

test('an action whose caller went away while it waited for its turn recalls nothing', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  const call = { item: async () => {}, signal: AbortSignal.abort() }
  assert.deepEqual(await act(bed.ports(), call), { action: 'hold', done: 0, inFlight: 0, recalled: 0 })
  assert.deepEqual(bed.told, [])
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

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServerList } from './health.ts'

function listAt(count: number): { list: ServerList; clock: { nowMs: number } } {
  const clock = { nowMs: 0 }
  const servers = Array.from({ length: count }, (_, i) => ({ address: `192.0.2.${i + 1}` }))
  return { list: new ServerList(servers, () => clock.nowMs), clock }
}

function orderOf(list: ServerList): string {
  return list
    .order()
    .map(state => state.server.address.slice(-1))
    .join('')
}

test('servers are asked in the configured order while they are healthy', () => {
  const { list } = listAt(3)
  const [first, second] = list.states
  list.succeeded(first!, 40)
  list.succeeded(second!, 5)
  assert.equal(orderOf(list), '123', '40 ms is not far slower than 5 ms')
})

test('a far slower server goes behind, and comes back after being passed over for long', () => {
  const { list } = listAt(2)
  list.succeeded(list.states[0]!, 400)
  list.succeeded(list.states[1]!, 5)
  assert.equal(orderOf(list), '21')
  for (let i = 0; i < 100; i++) list.order()
  assert.equal(orderOf(list), '12')
})

test('two failures in a row make a server rest, twice as long each time, a minute at most', () => {
  const { list, clock } = listAt(2)
  const first = list.states[0]!
  list.failed(first, clock.nowMs)
  assert.equal(orderOf(list), '12')
  list.failed(first, clock.nowMs)
  assert.equal(orderOf(list), '21')
  clock.nowMs += 1000
  assert.equal(orderOf(list), '12', 'the rest is over: one query tries it')
  assert.equal(orderOf(list), '21', 'others do not meanwhile')
  for (let i = 0; i < 20; i++) list.failed(first, clock.nowMs)
  clock.nowMs += 59_999
  assert.equal(orderOf(list), '21')
  clock.nowMs += 1
  assert.equal(orderOf(list), '12')
})

test('queries that were under way together when a server died count as one failure', () => {
  const { list, clock } = listAt(1)
  clock.nowMs = 2000
  for (let i = 0; i < 100; i++) list.failed(list.states[0]!, 500)
  assert.equal(list.states[0]!.failures, 1)
})

test('one answer makes a failing server healthy again', () => {
  const { list, clock } = listAt(2)
  const first = list.states[0]!
  for (let i = 0; i < 5; i++) list.failed(first, clock.nowMs)
  list.succeeded(first, 10)
  assert.equal(orderOf(list), '12')
  assert.equal(first.failures, 0)
})

test('everybody resting still gets asked, soonest first', () => {
  const { list, clock } = listAt(2)
  for (let i = 0; i < 4; i++) list.failed(list.states[0]!, clock.nowMs)
  for (let i = 0; i < 2; i++) list.failed(list.states[1]!, clock.nowMs)
  assert.equal(orderOf(list), '21')
})

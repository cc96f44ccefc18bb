// What the guard counts per client address: connections, their rate, failed logins. The clock moves when told.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { AddressGuard } from './address-guard.ts'
import { DoorCounts } from './door-counts.ts'
import { allocateDoorMemory, type DoorMemory } from './door-memory.ts'
import { LoginFailures } from './login-failures.ts'

function guardWith(
  limits: { open?: number; perMinute?: number } = {},
  memory: DoorMemory = allocateDoorMemory(randomBytes),
) {
  const time = { nowMs: 1_000_000 }
  const guard = new AddressGuard(
    {
      connectionsPerAddressMax: limits.open ?? 3,
      connectionsPerMinuteMax: limits.perMinute ?? 10,
      freeAuthFailures: 3,
      authDelayMsMax: 10_000,
    },
    new DoorCounts(memory.counts),
    new LoginFailures(memory.failures),
    { nowMs: () => time.nowMs },
  )
  return { guard, time }
}

test('an address has so many connections at once, and one more for each that it closes', () => {
  const { guard } = guardWith()
  for (let i = 0; i < 3; i++) assert.equal(guard.enter('192.0.2.1'), null)
  assert.equal(guard.enter('192.0.2.1')?.code, 'too-many-connections')
  assert.equal(guard.enter('192.0.2.2'), null, 'its neighbour is not concerned')
  guard.leave('192.0.2.1')
  assert.equal(guard.enter('192.0.2.1'), null)
})

test('an address makes so many connections a minute, closed or not', () => {
  const { guard, time } = guardWith()
  for (let i = 0; i < 10; i++) {
    assert.equal(guard.enter('192.0.2.1'), null)
    guard.leave('192.0.2.1')
  }
  assert.equal(guard.enter('192.0.2.1')?.code, 'connection-rate')
  time.nowMs += 60_000
  assert.equal(guard.enter('192.0.2.1'), null)
})

test('IPv6 counts by the first 64 bits, IPv4 inside of IPv6 as itself', () => {
  const { guard } = guardWith()
  for (const last of ['1', '2', 'ffff:ffff:ffff:ffff'])
    assert.equal(guard.enter(last.includes(':') ? `2001:db8:0:1:${last}` : `2001:db8:0:1::${last}`), null)
  assert.equal(guard.enter('2001:db8:0:1::4')?.code, 'too-many-connections')
  assert.equal(guard.enter('2001:db8:0:2::1'), null)
  for (let i = 0; i < 3; i++) assert.equal(guard.enter('::ffff:192.0.2.7'), null)
  assert.equal(guard.enter('192.0.2.7')?.code, 'too-many-connections')
})

test('login answers slow down with the failures of an address, ten seconds at most, and are quick again after a quarter of an hour', () => {
  const { guard, time } = guardWith()
  const delays: number[] = []
  for (let i = 0; i < 15; i++) {
    delays.push(guard.authDelayMs('192.0.2.1'))
    guard.authFailed('192.0.2.1')
  }
  assert.deepEqual(delays.slice(0, 6), [0, 0, 0, 0, 1000, 2000])
  assert.equal(Math.max(...delays, guard.authDelayMs('192.0.2.1')), 10_000)
  assert.equal(guard.authDelayMs('192.0.2.2'), 0)
  time.nowMs += 15 * 60_000 + 1
  assert.equal(guard.authDelayMs('192.0.2.1'), 0)
})

test('a network whose hosts take turns at guessing is slowed as well, after ten times as many failures; its neighbour is not', () => {
  for (const [address, neighbour] of [
    [(i: number) => `192.0.2.${i}`, '192.0.3.1'],
    [(i: number) => `2001:db8:1:${i}::1`, '2001:db8:2:1::1'],
  ] as const) {
    const { guard, time } = guardWith()
    const delays: number[] = []
    for (let i = 0; i < 45; i++) {
      delays.push(guard.authDelayMs(address(i)))
      guard.authFailed(address(i))
    }
    assert.deepEqual(new Set(delays.slice(0, 31)), new Set([0]))
    assert.deepEqual(delays.slice(31, 34), [1000, 2000, 3000])
    assert.equal(guard.authDelayMs(address(200)), 10_000, 'a host that has not guessed yet')
    assert.equal(guard.authDelayMs(neighbour), 0)
    time.nowMs += 15 * 60_000 + 1
    assert.equal(guard.authDelayMs(address(0)), 0)
  }
})

test('threads count together: what one let in another knows, however the connections were spread', () => {
  const memory = allocateDoorMemory(randomBytes)
  const threads = Array.from({ length: 7 }, () => guardWith({ open: 50, perMinute: 60 }, memory).guard)
  // All fifty by chance in the same thread, and the next one in another.
  for (let i = 0; i < 50; i++) assert.equal(threads[0]!.enter('192.0.2.1'), null)
  assert.equal(threads[6]!.enter('192.0.2.1')?.code, 'too-many-connections')
  threads[0]!.leave('192.0.2.1')
  assert.equal(threads[6]!.enter('192.0.2.1'), null)
  for (let i = 0; i < 9; i++) {
    threads[0]!.leave('192.0.2.1')
    assert.equal(threads[i % 7]!.enter('192.0.2.1'), null)
  }
  threads[0]!.leave('192.0.2.1')
  assert.equal(threads[3]!.enter('192.0.2.1')?.code, 'connection-rate')
})

test('a flood of new addresses costs little each, and what has a connection open stays counted', {
  timeout: 30_000,
}, () => {
  const { guard, time } = guardWith({ open: 1, perMinute: 1e9 })
  assert.equal(guard.enter('192.0.2.1'), null)
  for (let i = 0; i < 150_000; i++) {
    const address = `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::1`
    // One in 65,536 shares the slot of the address that is here, and is told so.
    if (guard.enter(address) === null) guard.leave(address)
    if (i % 100 === 0) time.nowMs++
  }
  assert.equal(guard.enter('192.0.2.1')?.code, 'too-many-connections')
})

test('a guesser in one thread is slowed in all of them, and a flood of other guessers slows nobody else', {
  timeout: 30_000,
}, () => {
  const memory = allocateDoorMemory(randomBytes)
  const [one, other] = [guardWith({}, memory).guard, guardWith({}, memory).guard]
  for (let i = 0; i < 5; i++) one.authFailed('192.0.2.1')
  assert.equal(other.authDelayMs('192.0.2.1'), 2000)
  other.authFailed('192.0.2.1')
  assert.equal(one.authDelayMs('192.0.2.1'), 3000)
  for (let i = 0; i < 100_000; i++) {
    const address = `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::1`
    for (let times = 0; times < 5; times++) one.authFailed(address)
  }
  const slowed = Array.from({ length: 10_000 }, (_, i) => `198.51.${i >> 8}.${i & 255}`).filter(
    address => other.authDelayMs(address) > 0,
  )
  assert.deepEqual(slowed, [])
  assert.ok(other.authDelayMs('2001:db8:1:869f::1') > 0, 'the last guesser is remembered')
})

// The bound on sessions in all, and who makes room when it is reached. Real sockets; the sessions are of the test's own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AddressGuard } from './address-guard.ts'
import { DoorCounts } from './door-counts.ts'
import { Listener, type Visit } from './listener.ts'
import { LoginFailures } from './login-failures.ts'
import { Places, type RunningSession } from './places.ts'

interface Seat extends RunningSession {
  readonly visit: Visit
  readonly firstBytes: Promise<string>
  strangerMs: number | null
  isSentAway: boolean
}

/** A listener with so many places, and a session for each connection that got one. 127.9.9.9 is a proxy. */
async function open({ perAddress = 10, sessionsMax = 2, isBegun = true } = {}) {
  const seats: Seat[] = []
  const refused: string[] = []
  const acceptFailures: string[] = []
  const counts = new DoorCounts(DoorCounts.allocate(1))
  const failures = new LoginFailures(LoginFailures.allocate([1, 2]))
  const places = new Places(counts)
  const clock = { monotonicMs: () => 0, nowMs: () => 0 }
  const limits = { connectionsPerAddressMax: perAddress, connectionsPerMinuteMax: 100 }
  const guard = new AddressGuard(
    { ...limits, freeAuthFailures: 3, authDelayMsMax: 0 },
    counts,
    failures,
    clock,
  )
  const listener = new Listener(
    {
      guard,
      startSession(socket, visit, reads) {
        const { promise: firstBytes, resolve: onBytes } = Promise.withResolvers<string>()
        if (reads !== undefined) reads.receive = bytes => onBytes(bytes.toString())
        const seat: Seat = {
          visit,
          firstBytes,
          strangerMs: 0,
          isSentAway: false,
          drain: () => socket.destroy(),
          destroy: () => socket.destroy(),
          makeRoom: () => {
            seat.isSentAway = true
            socket.destroy()
          },
        }
        seats.push(seat)
        socket.on('error', () => {})
        socket.on('close', () => visit.ended())
        socket.resume()
        return seat
      },
      acceptFailed: code => void acceptFailures.push(code),
      refusedConnection: refusal => void refused.push(refusal.code),
    },
    {
      host: '127.0.0.1',
      port: 0,
      isExempt: () => false,
      isProxy: address => address === '127.9.9.9',
      sessionsMax,
      strangerMsMax: () => 5000,
      backlog: 10,
    },
    places,
  )
  await listener.bind()
  if (isBegun) listener.begin()
  const clients: net.Socket[] = []
  const connect = async (localAddress: string = '127.0.0.1'): Promise<void> => {
    const before = seats.length + refused.length
    const client = net.connect({ port: listener.port, host: '127.0.0.1', localAddress })
    client.on('error', () => {})
    clients.push(client)
    await once(client, 'connect')
    while (seats.length + refused.length === before) await new Promise(resolve => setImmediate(resolve))
  }
  return {
    listener,
    seats,
    refused,
    acceptFailures,
    places,
    connect,
    [Symbol.dispose]() {
      for (const client of clients) client.destroy()
      listener.close()
    },
  }
}

test('who connects before the begin waits for it, and what it has sent by then is not lost', async () => {
  using door = await open({ isBegun: false })
  const client = net.connect({ port: door.listener.port, host: '127.0.0.1' })
  client.write('early')
  await once(client, 'connect')
  const second = net.connect({ port: door.listener.port, host: '127.0.0.1' })
  await once(second, 'connect')
  // By then both have been accepted.
  await sleep(50)
  assert.equal(door.seats.length, 0)
  const [ended, secondEnded] = [once(client.resume(), 'close'), once(second.resume(), 'close')]
  door.listener.begin()
  assert.equal(door.seats.length, 2)
  assert.deepEqual(await door.seats[0]!.firstBytes, 'early')
  for (const seat of door.seats) seat.drain()
  await Promise.all([ended, secondEnded])
})

test('when all places are taken, the stranger that is here longest goes for the newcomer', async () => {
  using door = await open()
  await door.connect()
  await door.connect()
  door.seats[0]!.strangerMs = 9000
  door.seats[1]!.strangerMs = 6000
  await door.connect()
  assert.deepEqual(
    door.seats.map(seat => seat.isSentAway),
    [true, false, false],
  )
  assert.deepEqual(door.refused, [])
  assert.equal(door.places.size, 2)
})

test('who has logged in keeps its place, and its network is not held against a newcomer from there', async () => {
  using door = await open({ sessionsMax: 4 })
  for (let i = 0; i < 3; i++) await door.connect('127.0.5.1')
  await door.connect('127.0.6.1')
  for (const seat of door.seats.slice(0, 3)) {
    seat.strangerMs = null
    seat.visit.identified()
  }
  await door.connect('127.0.7.1')
  assert.deepEqual(door.refused, ['server-busy'], 'one stranger, who came just now')
  door.seats[3]!.strangerMs = 5000
  await door.connect('127.0.5.1')
  assert.equal(door.seats[3]!.isSentAway, true)
  assert.ok(door.seats.slice(0, 3).every(seat => !seat.isSentAway))
})

test('a newcomer takes the place of the network that holds most, however short that is there', async () => {
  using door = await open({ sessionsMax: 4 })
  await door.connect('127.0.6.1')
  for (const last of [1, 2, 3]) await door.connect(`127.0.5.${last}`)
  await door.connect('127.0.7.1')
  assert.deepEqual(
    door.seats.map(seat => seat.isSentAway),
    [false, true, false, false, false],
  )
  assert.deepEqual(door.refused, [])
})

test('clients behind a proxy count as themselves once their address is known', async () => {
  using door = await open({ sessionsMax: 4 })
  for (let i = 0; i < 4; i++) await door.connect('127.9.9.9')
  // Two of one network behind the proxy; the others are of networks of their own.
  for (const [seat, address] of ['192.0.2.1', '198.51.100.1', '198.51.100.2', '203.0.113.1'].entries())
    assert.equal(door.seats[seat]!.visit.admit(address), null)
  await door.connect('127.9.9.9')
  assert.deepEqual(
    door.seats.map(seat => seat.isSentAway),
    [false, true, false, false, false],
  )
})

test('clients that have logged in, and strangers that came just now, are left alone: the newcomer is told to come back', async () => {
  using door = await open()
  await door.connect()
  await door.connect()
  door.seats[0]!.strangerMs = null
  door.seats[0]!.visit.identified()
  door.seats[1]!.strangerMs = 4999
  await door.connect()
  assert.deepEqual(door.refused, ['server-busy'])
  assert.ok(door.seats.every(seat => !seat.isSentAway))
})

test('a newcomer over the bounds of its own address takes nobody’s place', async () => {
  using door = await open({ perAddress: 2 })
  await door.connect()
  await door.connect()
  for (const seat of door.seats) seat.strangerMs = 9000
  await door.connect()
  assert.deepEqual(door.refused, ['too-many-connections'])
  assert.ok(door.seats.every(seat => !seat.isSentAway))
})

test('a door whose accept fails says so and stays open: it might not be opened again', async () => {
  using door = await open()
  const { port } = door.listener
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): unknown[] }
  const server = handles.call(process).find(one => one instanceof net.Server && isOn(one, port)) as net.Server
  for (const code of ['EMFILE', 'ENOMEM']) {
    server.emit('error', Object.assign(new Error(`accept ${code}`), { code }))
    assert.equal(server.listening, true)
  }
  assert.deepEqual(door.acceptFailures, ['EMFILE', 'ENOMEM'])
  await door.connect()
  assert.equal(door.seats.length, 1)
})

function isOn(server: net.Server, port: number): boolean {
  const address = server.address()
  return typeof address === 'object' && address?.port === port
}

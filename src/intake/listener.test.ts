// The bound on sessions in all, and who makes room when it is reached. Real sockets; the sessions are of the test's own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { AddressGuard } from './address-guard.ts'
import { Listener, type RunningSession } from './listener.ts'

interface Seat extends RunningSession {
  strangerMs: number | null
  isSentAway: boolean
}

/** A listener with two places, and a session for each connection that got one. */
async function open(perAddress: number = 10) {
  const seats: Seat[] = []
  const refused: string[] = []
  const sessions = new Set<RunningSession>()
  const clock = { monotonicMs: () => 0, nowMs: () => 0 }
  const limits = { connectionsPerAddressMax: perAddress, connectionsPerMinuteMax: 100 }
  const guard = new AddressGuard({ ...limits, freeAuthFailures: 3, authDelayMsMax: 0 }, clock)
  const listener = new Listener(
    {
      guard,
      startSession(socket, ended) {
        const seat: Seat = {
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
        socket.on('close', ended)
        socket.resume()
        return seat
      },
      acceptFailed: () => assert.fail('nothing fails here'),
      refusedConnection: refusal => void refused.push(refusal.code),
    },
    {
      host: '127.0.0.1',
      port: 0,
      isExempt: () => false,
      isProxy: () => false,
      sessionsMax: 2,
      strangerMsMax: () => 5000,
      backlog: 10,
    },
    sessions,
  )
  await listener.listen()
  const clients: net.Socket[] = []
  const connect = async (): Promise<void> => {
    const before = seats.length + refused.length
    const client = net.connect(listener.port, '127.0.0.1')
    client.on('error', () => {})
    clients.push(client)
    await once(client, 'connect')
    while (seats.length + refused.length === before) await new Promise(resolve => setImmediate(resolve))
  }
  return {
    seats,
    refused,
    sessions,
    connect,
    [Symbol.dispose]() {
      for (const client of clients) client.destroy()
      listener.close()
    },
  }
}

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
  assert.equal(door.sessions.size, 2)
})

test('clients that have logged in, and strangers that came just now, are left alone: the newcomer is told to come back', async () => {
  using door = await open()
  await door.connect()
  await door.connect()
  door.seats[0]!.strangerMs = null
  door.seats[1]!.strangerMs = 4999
  await door.connect()
  assert.deepEqual(door.refused, ['server-busy'])
  assert.ok(door.seats.every(seat => !seat.isSentAway))
})

test('a newcomer over the bounds of its own address takes nobody’s place', async () => {
  using door = await open(2)
  await door.connect()
  await door.connect()
  for (const seat of door.seats) seat.strangerMs = 9000
  await door.connect()
  assert.deepEqual(door.refused, ['too-many-connections'])
  assert.ok(door.seats.every(seat => !seat.isSentAway))
})

// Situation: strangers who say nothing hold every place that there is, and come back when they are closed.
//
// Who logs in finds a place: at once where the strangers come from few networks, after a while where each has its own.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HostileClients, servedMsMax } from './support/hostile-clients.ts'
import { closed, manyAddresses, rawConnection, Siege } from './support/siege.ts'

let clients: HostileClients
before(async () => {
  clients = await HostileClients.open()
})
after(() => clients[Symbol.asyncDispose]())

test('2,000 silent strangers fill all places and keep coming back: each newcomer that logs in finds one', async t => {
  await using crowd = new Crowd(index => [clients.ports.submission, manyAddresses(index)])
  await full(clients.siege)
  await clients.attacked(
    t,
    300,
    async () => {
      for (let i = 0; i < 20; i++) await clients.siege.sendOrdinary()
    },
    servedMsMax,
  )
  await crowd.leave()
  await clients.gone()
})

test('2,000 silent strangers of as many networks: a newcomer may be told to come back, and finds a place when the first had time to log in', async () => {
  const short = ['[limits]', 'sessions = 2000', 'stranger = "2s"'].join('\n')
  await using wide = await Siege.open({ toml: short })
  const { submission } = wide.house.ports
  await using crowd = new Crowd(index => [submission, `127.${50 + (index >> 8)}.${index & 255}.7`])
  await full(wide)
  for (let i = 0; i < 5; i++) await untilServed(wide)
  await crowd.leave()
})

/** 2,000 connections that say nothing and come back when they are closed. */
class Crowd implements AsyncDisposable {
  #isOver = false
  readonly #sockets = new Set<Socket>()
  readonly #all: Promise<unknown>

  constructor(whence: (index: number) => readonly [port: number, localAddress: string]) {
    this.#all = Promise.all(Array.from({ length: 2000 }, (_, index) => this.#stay(...whence(index))))
  }

  async #stay(port: number, localAddress: string): Promise<void> {
    while (!this.#isOver) {
      const socket = await rawConnection(port, localAddress)
      socket.resume()
      this.#sockets.add(socket)
      if (this.#isOver) socket.destroy()
      await closed(socket)
      this.#sockets.delete(socket)
      await sleep(100)
    }
  }

  async leave(): Promise<void> {
    this.#isOver = true
    for (const socket of this.#sockets) socket.destroy()
    await this.#all
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave()
  }
}

/** Waits until no place is free. */
async function full(house: Siege): Promise<void> {
  const endMs = Date.now() + 60_000
  for (;;) {
    const open = await house.metric('postrider_sessions_open')
    // The rest are those that make room for each other.
    if (open >= 1990) return
    if (Date.now() > endMs) throw new Error(`only ${open} of 2,000 places were taken`)
    await sleep(50)
  }
}

/** An ordinary client that is told to come back, or is sent away while it logs in, and comes back. */
async function untilServed(house: Siege): Promise<void> {
  const endMs = Date.now() + 60_000
  for (;;) {
    const failure: unknown = await house.sendOrdinary().then(
      () => null,
      error => error,
    )
    if (failure === null) return
    assert.match(String(failure), /421 4\.3\.2/)
    assert.ok(Date.now() < endMs, `never served: ${failure}`)
    await sleep(100)
  }
}

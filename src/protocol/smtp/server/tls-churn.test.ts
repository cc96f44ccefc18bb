// Clients that make TLS work and say nothing in it: new keys, new handshakes, without end.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { connectRawTls, handshakeTypes, message, Tls13Sealer } from '../testing/tls-records.ts'
import { makeSecureContext, TestServer } from './test-kit.ts'

const context = makeSecureContext()
const implicit = { tls: { mode: 'implicit', secureContext: () => context } } as const

for (const [asks, what] of [
  [true, 'and asks for ours, reading nothing'],
  [false, 'and asks for nothing'],
] as const)
  test(`a client that changes its keys without end ${what} is cut off`, { timeout: 30_000 }, async () => {
    await using server = await TestServer.start(implicit)
    const { socket, sealer } = await connectRawTls(server.port)
    assert.ok(sealer instanceof Tls13Sealer)
    for (let round = 0; round < 200 && !socket.destroyed; round++) {
      for (let i = 0; i < 100; i++) socket.write(sealer.keyUpdate(asks))
      await new Promise(resolve => setImmediate(resolve))
    }
    socket.destroy()
    assert.equal(await server.closeReason(), 'tls-churn')
    assert.equal(server.ticker.size, 0)
  })

test('a client that changes its keys now and then is served', async () => {
  await using server = await TestServer.start(implicit)
  const { socket, sealer } = await connectRawTls(server.port)
  assert.ok(sealer instanceof Tls13Sealer)
  for (let i = 0; i < 10; i++) {
    socket.write(sealer.keyUpdate(i % 2 === 0))
    socket.write(sealer.seal('applicationData', Buffer.from(i === 9 ? 'QUIT\r\n' : 'NOOP\r\n')))
  }
  socket.resume()
  await once(socket, 'close')
  assert.equal(await server.closeReason(), 'quit')
  assert.equal(server.recorder.summaries[0]!.commands, 10)
})

test('a client that asks again and again to negotiate TLS 1.2 anew is cut off', {
  timeout: 30_000,
}, async () => {
  await using server = await TestServer.start(implicit)
  const { socket, sealer } = await connectRawTls(server.port, 'TLSv1.2')
  while (!socket.destroyed) {
    socket.write(sealer.seal('handshake', message(handshakeTypes.clientHello, Buffer.alloc(0))))
    await new Promise(resolve => setImmediate(resolve))
  }
  await server.closeReason()
  assert.equal(server.ticker.size, 0)
})

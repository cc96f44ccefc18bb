// Peers that make TLS work instead of answering: new keys, tickets, new handshakes, without end.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import {
  acceptRawTls,
  message as handshakeMessage,
  handshakeTypes,
  type Tls13Sealer,
} from '../testing/tls-records.ts'
import { makeCertificate } from './testing/certificates.ts'
import { ManualTicker, startPeer } from './testing/scripted-peer.ts'
import { message, session, summary } from './testing/sessions.ts'
import type { ResumableSession } from './tls-types.ts'

const certificate = makeCertificate('peer.test')

/** A ticket (RFC 8446 §4.6.1) that differs from the others. */
function ticket(number: number): Buffer {
  const nonce = Buffer.alloc(8)
  nonce.writeUInt32BE(number)
  const age = Buffer.from([0, 0, 28, 32, 1, 2, 3, 4])
  return Buffer.concat([
    age,
    Buffer.from([8]),
    nonce,
    Buffer.from([0, 16]),
    Buffer.alloc(16, 7),
    Buffer.alloc(2),
  ])
}

const floods = [
  ['new keys, and asks for ours', 'TLSv1.3', sealer => (sealer as Tls13Sealer).keyUpdate(true)],
  ['new keys', 'TLSv1.3', sealer => (sealer as Tls13Sealer).keyUpdate(false)],
  [
    'tickets',
    'TLSv1.3',
    (sealer, number) =>
      sealer.seal('handshake', handshakeMessage(handshakeTypes.sessionTicket, ticket(number))),
  ],
  [
    'requests to negotiate again',
    'TLSv1.2',
    sealer => sealer.seal('handshake', handshakeMessage(handshakeTypes.helloRequest, Buffer.alloc(0))),
  ],
] as const satisfies readonly (readonly [
  string,
  'TLSv1.2' | 'TLSv1.3',
  (sealer: Awaited<ReturnType<typeof acceptRawTls>>['sealer'], number: number) => Buffer,
])[]

for (const [what, version, make] of floods)
  test(`a peer that sends ${what} instead of an answer is left`, { timeout: 30_000 }, async () => {
    await using peer = await startPeer(async ({ socket: plain }) => {
      plain.removeAllListeners('data')
      const { socket, sealer } = await acceptRawTls(plain, certificate, version)
      const say = (text: string): void => void socket.write(sealer.seal('applicationData', Buffer.from(text)))
      say('220 peer.test\r\n')
      await once(socket.resume(), 'data')
      say('250 peer.test\r\n')
      socket.pause()
      for (let number = 0; number < 20_000 && !socket.destroyed; number++) {
        socket.write(make(sealer, number))
        if (number % 100 === 0) await new Promise(resolve => setImmediate(resolve))
      }
      socket.destroy()
    })
    const tickets: ResumableSession[] = []
    const ticker = new ManualTicker()
    const onSession = (one: ResumableSession): void => void tickets.push(one)
    const smtp = await session(peer.port, {
      ticker,
      tls: { mode: 'implicit', servername: 'peer.test', verify: false, onSession },
    })
    const result = await smtp.transact(message())
    assert.deepEqual(summary(result), ['mail none'])
    assert.equal(result.failure?.code, 'TLS_CHURN')
    assert.ok(tickets.length < 70, `${tickets.length} tickets were kept`)
    assert.equal(ticker.size, 0)
  })

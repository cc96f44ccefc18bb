// Reading into one buffer: whose bytes come where, and what happens where Node has no such handle.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { makeCertificate } from '../protocol/smtp/client/testing/certificates.ts'
import {
  type SmtpSessionHandler,
  serveSmtpSession,
  smtpReply,
  smtpServerOptions,
} from '../protocol/smtp/index.ts'
import { shareReads } from './shared-reads.ts'

test('two connections that read into one buffer each get their own bytes, and their end', async () => {
  const texts: string[] = []
  const ends: number[] = []
  const server = net.createServer(() => assert.fail('the ordinary way was taken'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const isShared = shareReads(server, Buffer.alloc(65_536), (socket, reads) => {
    const number = texts.push('') - 1
    reads.receive = bytes => {
      texts[number] += bytes.toString('latin1')
    }
    socket.on('end', () => {
      ends.push(number)
      socket.end('seen')
    })
  })
  assert.equal(isShared, true)
  const { port } = server.address() as AddressInfo
  for (const letter of ['a', 'b']) {
    const client = net.connect(port, '127.0.0.1')
    client.write(letter.repeat(100_000))
    client.end(letter)
    const [reply] = (await once(client, 'data')) as [Buffer]
    assert.equal(reply.toString(), 'seen')
  }
  assert.deepEqual(texts, ['a'.repeat(100_001), 'b'.repeat(100_001)])
  assert.deepEqual(ends, [0, 1])
  server.close()
})

test('where TLS comes first, what a client says while it is decided whether it may come in is not lost', async t => {
  const secureContext = tls.createSecureContext(makeCertificate('relay.test'))
  const options = smtpServerOptions({
    hostname: 'relay.test',
    tls: { mode: 'implicit', secureContext: () => secureContext },
  })
  const { promise: admitted, resolve: admit } = Promise.withResolvers<null>()
  const handler: SmtpSessionHandler = {
    open: () => admitted,
    authenticate: () => smtpReply(535, '5.7.8', 'No'),
    mail: () => smtpReply(550, '5.7.1', 'No'),
    rcpt: () => smtpReply(550, '5.7.1', 'No'),
    content: () => smtpReply(550, '5.7.1', 'No'),
    reset: () => {},
    closed: () => {},
  }
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const buffer = Buffer.alloc(65_536)
  let bytesRead = (): number => 0
  shareReads(server, buffer, (socket, reads) => {
    bytesRead = () => socket.bytesRead
    serveSmtpSession({
      socket,
      reads,
      handler,
      options,
      ticker: { nowMs: 0, add: () => {}, delete: () => {} },
    })
  })
  const { port } = server.address() as AddressInfo
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  t.after(() => {
    client.destroy()
    server.close()
  })
  while (bytesRead() === 0) await new Promise(resolve => setImmediate(resolve))
  buffer.fill(0)
  admit(null)
  const [greeting] = (await once(client, 'data')) as [Buffer]
  assert.match(greeting.toString(), /^220 /)
})

test('a server whose inside is another keeps its own way of accepting', async () => {
  const server = new net.Server()
  assert.equal(
    shareReads(server, Buffer.alloc(10), () => assert.fail('nothing is taken')),
    false,
  )
})

// TLS towards peers: STARTTLS and implicit, what is verified and what is noted, resumption.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { createServer as createTlsServer, type Server, type TLSSocket } from 'node:tls'
import { connectSmtp } from './connect.ts'
import type { ClientTlsOptions } from './options.ts'
import { makeCertificate } from './testing/certificates.ts'
import { ManualTicker, PeerConnection, startPeer } from './testing/scripted-peer.ts'
import { failure, message, options, session, summary, welcome } from './testing/sessions.ts'
import type { ResumableSession } from './tls-types.ts'

const certificate = makeCertificate('peer.test')
const servers: Server[] = []
after(() => {
  for (const server of servers) server.close()
})

const trusting: ClientTlsOptions = {
  mode: 'required',
  servername: 'peer.test',
  verify: true,
  ca: certificate.cert,
}

/** A peer that offers STARTTLS and then takes one message inside TLS. */
async function startTlsPeer(inside: readonly string[] = ['PIPELINING']) {
  return await startPeer(async peer => {
    await welcome(peer, ['STARTTLS', 'SIZE 1', 'AUTH PLAIN'])
    await peer.line('STARTTLS')
    peer.send('220 go\r\n')
    await peer.startTls(certificate)
    await peer.line('EHLO client.test')
    peer.send(`250-peer.test\r\n${inside.map(keyword => `250-${keyword}\r\n`).join('')}250 HELP\r\n`)
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    peer.send('250 ok\r\n')
    await peer.line('QUIT')
    peer.send('221 bye\r\n')
  })
}

/** A listener with TLS from the first byte that greets and waits. */
async function implicitPeer(maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'): Promise<number> {
  const server = createTlsServer({ ...certificate, maxVersion }, (socket: TLSSocket) => {
    void (async () => {
      const peer = new PeerConnection(socket)
      await welcome(peer, ['PIPELINING'])
      await peer.closed()
    })().catch(() => socket.destroy())
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

test('STARTTLS with a valid certificate: the facts are noted and what was said before TLS is forgotten', async () => {
  await using peer = await startTlsPeer()
  const smtp = await session(peer.port, { tls: trusting })
  const { tls, capabilities } = smtp.facts
  assert.deepEqual([tls?.protocol, tls?.isAuthorized, tls?.authorizationError], ['TLSv1.3', true, null])
  assert.match(tls?.cipher ?? '', /^TLS_/)
  assert.equal(tls?.certificateFingerprint, new X509Certificate(certificate.cert).fingerprint256)
  assert.deepEqual(
    [capabilities.hasSize, capabilities.hasPipelining, capabilities.authMechanisms],
    [false, true, []],
  )
  assert.deepEqual(summary(await smtp.transact(message())), ['eom 250 accepted'])
  await smtp.quit()
})

test('without verification a certificate nobody trusts is noted and used', async () => {
  await using peer = await startTlsPeer()
  const tls: ClientTlsOptions = { mode: 'opportunistic', servername: 'other.test', verify: false }
  const smtp = await session(peer.port, { tls })
  assert.equal(smtp.facts.tls?.isAuthorized, false)
  assert.match(smtp.facts.tls?.authorizationError ?? '', /SELF_SIGNED|self-signed|certificate/i)
  assert.deepEqual(summary(await smtp.transact(message())), ['eom 250 accepted'])
  smtp.destroy()
})

test('with verification an untrusted certificate and a wrong name are failures of stage tls, with the facts', async () => {
  const cases: [Partial<ClientTlsOptions>, RegExp][] = [
    [{ ca: makeCertificate('peer.test').cert }, /self-signed|DEPTH_ZERO/i],
    [{ servername: 'other.test' }, /other\.test/],
    [{ servername: '127.0.0.1' }, /127\.0\.0\.1/],
  ]
  for (const [changes, why] of cases) {
    await using peer = await startTlsPeer()
    const result = await failure(connectSmtp(options(peer.port, { tls: { ...trusting, ...changes } })))
    assert.deepEqual([result.stage, result.kind, result.code], ['tls', 'policy', 'CERTIFICATE_INVALID'])
    assert.match(result.message, why)
    assert.equal(result.tls?.isAuthorized, false)
  }
})

test('implicit TLS begins with the handshake, and reads and writes go through it', async () => {
  const smtp = await session(await implicitPeer(), { tls: { ...trusting, mode: 'implicit' } })
  assert.equal(smtp.facts.tls?.isAuthorized, true)
  assert.equal(smtp.facts.capabilities.hasPipelining, true)
  smtp.destroy()
})

async function ticketOf(port: number, tls: ClientTlsOptions): Promise<ResumableSession> {
  const { promise, resolve } = Promise.withResolvers<ResumableSession>()
  const smtp = await session(port, { tls: { ...tls, onSession: resolve } })
  assert.equal(smtp.facts.tls?.isResumed, false)
  const ticket = await promise
  smtp.destroy()
  return ticket
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a session is resumed with ${version}, and what was verified then counts`, async () => {
    const port = await implicitPeer(version)
    const implicit: ClientTlsOptions = { ...trusting, mode: 'implicit' }
    const resuming = { ...implicit, session: await ticketOf(port, implicit) }
    const smtp = await session(port, { tls: resuming })
    const facts = smtp.facts.tls
    assert.deepEqual([facts?.protocol, facts?.isResumed, facts?.isAuthorized], [version, true, true])
    assert.equal(facts?.certificateFingerprint, new X509Certificate(certificate.cert).fingerprint256)
    smtp.destroy()
    const wrongName = await failure(
      connectSmtp(options(port, { tls: { ...resuming, servername: 'other.test' } })),
    )
    assert.equal(wrongName.code, 'CERTIFICATE_INVALID')
  })
}

test('a session that was made without a valid name is not resumed where verification is asked for', async () => {
  const port = await implicitPeer()
  const careless: ClientTlsOptions = {
    mode: 'implicit',
    servername: 'other.test',
    verify: false,
    ca: certificate.cert,
  }
  const ticket = await ticketOf(port, careless)
  const resumed = await session(port, { tls: { ...careless, session: ticket } })
  assert.deepEqual([resumed.facts.tls?.isResumed, resumed.facts.tls?.isAuthorized], [true, false])
  resumed.destroy()
  const strict: ClientTlsOptions = { ...careless, verify: true, session: ticket }
  const result = await failure(connectSmtp(options(port, { tls: strict })))
  assert.equal(result.code, 'CERTIFICATE_INVALID')
})

test('a peer that speaks no TLS after its 220 fails at stage tls', async () => {
  const ticker = new ManualTicker()
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['STARTTLS'])
    await peer.line('STARTTLS')
    peer.send('220 go\r\n')
    await peer.octets(1)
    peer.send('500 what is this\r\n')
    await peer.closed()
  })
  const result = await failure(connectSmtp(options(peer.port, { ticker, tls: trusting })))
  assert.deepEqual([result.stage, result.kind, result.tls], ['tls', 'error', null])
  assert.equal(ticker.size, 0)
})

test('a peer that drops during the TLS handshake fails at stage tls', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['STARTTLS'])
    await peer.line('STARTTLS')
    peer.send('220 go\r\n')
    await peer.octets(1)
    peer.end()
  })
  const result = await failure(connectSmtp(options(peer.port, { tls: trusting })))
  assert.equal(result.stage, 'tls')
})

test('a peer with TLS 1.1 only is refused', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['STARTTLS'])
    await peer.line('STARTTLS')
    peer.send('220 go\r\n')
    await peer
      .startTls({
        ...certificate,
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ciphers: 'ALL:@SECLEVEL=0',
      } as Parameters<PeerConnection['startTls']>[0])
      .catch(() => {})
  })
  const result = await failure(connectSmtp(options(peer.port, { tls: { ...trusting, verify: false } })))
  assert.equal(result.stage, 'tls')
})

test('a peer that asks to negotiate again is told no', async () => {
  let renegotiated = 0
  let refused = ''
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  const server = createTlsServer({ ...certificate, maxVersion: 'TLSv1.2' }, (socket: TLSSocket) => {
    socket.on('error', error => {
      refused = error.message
    })
    socket.on('close', () => end())
    void (async () => {
      const peer = new PeerConnection(socket)
      await welcome(peer, ['PIPELINING'])
      socket.on('secure', () => renegotiated++)
      socket.renegotiate({}, () => undefined)
    })().catch(() => socket.destroy())
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const connected = await session(port, { tls: { ...trusting, mode: 'implicit' } })
  await over
  assert.equal(renegotiated, 0)
  assert.match(refused, /renegotiation/i)
  connected.destroy()
})

test('a peer that would choose the numbers of Diffie-Hellman finds no common cipher, and one with RSA beside it does', async () => {
  const old = makeCertificate('peer.test', 'rsa')
  const finiteField = 'DHE-RSA-AES128-GCM-SHA256'
  for (const [ciphers, cipher] of [
    [finiteField, null],
    [`${finiteField}:AES128-GCM-SHA256`, 'AES128-GCM-SHA256'],
  ] as const) {
    const server = createTlsServer({ ...old, ciphers, dhparam: 'auto', maxVersion: 'TLSv1.2' }, socket => {
      socket.on('error', () => socket.destroy())
      void welcome(new PeerConnection(socket), ['PIPELINING']).catch(() => undefined)
    })
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const result = await connectSmtp(options(port, { tls: { ...trusting, ca: old.cert, mode: 'implicit' } }))
    if (cipher === null) assert.equal((await failure(Promise.resolve(result))).stage, 'tls')
    else {
      assert.ok(result.ok)
      assert.equal(result.session.facts.tls?.cipher, cipher)
      result.session.destroy()
    }
  }
})

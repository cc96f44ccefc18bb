// Situation: clients and servers that make work inside TLS and say nothing there (the row "never-ending TLS
// renegotiation" of the resource-exhaustion table, and its heirs in TLS 1.3: new keys and tickets without end).
//
// They are cut off after a handful, an ordinary client is served meanwhile, and memory stays bounded. A real client that
// changes its keys now and then is served.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { makeCertificate } from '../../src/protocol/smtp/client/testing/certificates.ts'
import { acceptRawTls, connectRawTls, Tls13Sealer } from '../../src/protocol/smtp/testing/tls-records.ts'
import { queuedId } from './support/client.ts'
import { message, waitForAll } from './support/house.ts'
import { closed, describe, manyAddresses, Siege } from './support/siege.ts'

const certificate = makeCertificate('churning.example')

/** Takes the connection as far as MAIL inside TLS, and then changes its keys for ever. */
async function churnInsteadOfAnswer(plain: Socket): Promise<void> {
  const { socket, sealer } = await acceptRawTls(plain, certificate)
  assert.ok(sealer instanceof Tls13Sealer)
  const say = (text: string): void =>
    void socket.write(sealer.seal('applicationData', Buffer.from(`${text}\r\n`)))
  socket.resume()
  say('220 churning.example')
  await once(socket, 'data')
  say('250 churning.example')
  await once(socket, 'data')
  // Our answers are not read.
  socket.pause()
  await churn(socket, sealer)
}

/** New keys, and asking for new ones, until the other side has had enough; bounded all the same. */
async function churn(socket: Socket, sealer: Tls13Sealer): Promise<void> {
  for (let round = 0; round < 2000 && !socket.destroyed; round++) {
    for (let i = 0; i < 50; i++) socket.write(sealer.keyUpdate(true))
    await new Promise(resolve => setImmediate(resolve))
  }
}

let siege: Siege
/** A host that failed is left alone for a while: each round of an attack has one of its own. */
const servers = Array.from({ length: 25 }, () =>
  createServer(socket => {
    socket.on('error', () => undefined)
    churnInsteadOfAnswer(socket).catch(() => socket.destroy())
  }),
)
before(async () => {
  const routes: string[] = []
  for (const [round, server] of servers.entries()) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    routes.push(
      `[[route]]\nrecipient_domain = "r${round}.churning.example"\nsmarthost = "smtps://127.0.0.1:${port}"`,
    )
  }
  const toml = [
    '[limits]\nconnection_rate_per_address = 100000',
    '[retry]\nschedule = ["1h"]',
    ...routes,
  ].join('\n')
  siege = await Siege.open({ toml })
})
after(async () => {
  await siege[Symbol.asyncDispose]()
  for (const server of servers) server.close()
})

test('200 clients that change their keys without end are cut off, and an ordinary client is served', {
  timeout: 60_000,
}, async t => {
  let cutOff = 0
  let clients = 0
  const cost = await siege.during(async () => {
    clients += 200
    let index = 0
    const worker = async (): Promise<void> => {
      while (index < 200) {
        const { socket, sealer } = await connectRawTls(
          siege.house.ports.submissions,
          'TLSv1.3',
          manyAddresses(index++),
        )
        await churn(socket, sealer as Tls13Sealer)
        if (socket.destroyed) cutOff++
        socket.destroy()
        await closed(socket)
      }
    }
    await Promise.all(Array.from({ length: 20 }, worker))
  }, 96)
  assert.equal(cutOff, clients)
  t.diagnostic(describe(cost))
})

test('10 servers that change their keys instead of answering: deferred with the reason, and ordinary mail goes on', {
  timeout: 60_000,
}, async t => {
  const cost = await siege.during(async round => {
    const ids: string[] = []
    for (let i = 0; i < 10; i++) {
      await using client = await siege.house.client()
      ids.push(queuedId(await client.send('ann@acme.example', `u${i}@r${round}.churning.example`, message())))
    }
    const events = await waitForAll(siege.house.server, ids, 'deferred')
    const texts = events
      .filter(event => event.type === 'deferred' && ids.includes(event.messageId ?? ''))
      .map(event => event.outcome?.text)
    assert.equal(texts.length, 10)
    for (const text of texts)
      assert.match(text ?? '', /changed keys, handed out tickets or asked to negotiate/)
  }, 96)
  t.diagnostic(describe(cost))
})

test('openssl s_client may change its keys now and then, and may not do it without end', {
  timeout: 60_000,
}, async () => {
  const address = ['-connect', `127.0.0.1:${siege.house.ports.submissions}`, '-tls1_3']
  const openssl = spawn('openssl', ['s_client', ...address], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  let asked = 0
  for (const stream of [openssl.stdout, openssl.stderr])
    stream.on('data', chunk => {
      said += String(chunk)
      // K: new keys for both sides. One after the other, since it reads one command at a time.
      const done = said.match(/KEYUPDATE/g)?.length ?? 0
      if (!said.includes('220 relay.example') || asked > done) return
      if (asked === 5 && !/^250 LIMITS/m.test(said)) openssl.stdin.write('EHLO client.example\r\n')
      else if (++asked <= 200) openssl.stdin.write('K\n')
    })
  openssl.stdin.on('error', () => undefined)
  await once(openssl, 'close')
  assert.match(said, /^250 LIMITS/m)
  assert.ok(asked > 10 && asked < 200, `closed after ${asked} changes`)
})

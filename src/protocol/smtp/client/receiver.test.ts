// A second opinion: the smtp-server package receives what this client sends.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import type { SmtpClientSession } from './session.ts'
import { makeCertificate } from './testing/certificates.ts'
import { message, session, summary } from './testing/sessions.ts'

interface Received {
  readonly from: string
  readonly to: readonly string[]
  readonly content: Buffer
}

interface Receiver extends AsyncDisposable {
  readonly port: number
  readonly received: Received[]
}

async function startReceiver(options: SMTPServerOptions = {}): Promise<Receiver> {
  const received: Received[] = []
  const receiver = new SMTPServer({
    disabledCommands: ['AUTH'],
    disableReverseLookup: true,
    onData(stream, { envelope }, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        received.push({ from, to: envelope.rcptTo.map(to => to.address), content: Buffer.concat(chunks) })
        done(null, `number ${received.length}`)
      })
    },
    ...options,
  })
  receiver.on('error', () => {})
  const server: Server = receiver.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    received,
    [Symbol.asyncDispose]: () => new Promise(resolve => receiver.close(() => resolve())),
  }
}

const certificate = makeCertificate('peer.test')

async function send(smtp: SmtpClientSession, parts: readonly Buffer[]): Promise<void> {
  assert.deepEqual(summary(await smtp.transact(message(['to@b.test'], { content: { parts } }))), [
    'eom 250 accepted',
  ])
}

test('whatever the lines and the cut into parts, smtp-server receives the bytes that were sent', async () => {
  await using receiver = await startReceiver({ hideSTARTTLS: true })
  const smtp = await session(receiver.port)
  const lines = fc.array(fc.string({ unit: fc.constantFrom('.', '..', 'a', ' ', 'ж'), maxLength: 5 }), {
    maxLength: 12,
  })
  await fc.assert(
    fc.asyncProperty(lines, fc.nat(), async (texts, place) => {
      const content = Buffer.from(`Subject: x\r\n\r\n${texts.map(text => `${text}\r\n`).join('')}`)
      const at = place % content.length
      await send(smtp, [content.subarray(0, at), content.subarray(at)])
      assert.deepEqual(receiver.received.at(-1)?.content, content)
    }),
    { numRuns: 60 },
  )
  await smtp.quit()
})

test('a hundred recipients in one transaction, over STARTTLS and AUTH, some refused', async () => {
  await using receiver = await startReceiver({
    ...certificate,
    disabledCommands: [],
    onAuth(auth, _session, done) {
      if (auth.username === 'user' && auth.password === 'päss') done(null, { user: 'user' })
      else done(new Error('no'))
    },
    onRcptTo(address, _session, done) {
      done(
        address.address.startsWith('bad')
          ? Object.assign(new Error('no such user'), { responseCode: 550 })
          : null,
      )
    },
  })
  const smtp = await session(receiver.port, {
    tls: { mode: 'required', servername: 'peer.test', verify: true, ca: certificate.cert },
    auth: { username: 'user', password: 'päss' },
  })
  assert.equal(smtp.facts.authMechanism, 'PLAIN')
  const recipients = Array.from(
    { length: 100 },
    (_, index) => `${index % 10 === 3 ? 'bad' : 'ok'}${index}@b.test`,
  )
  const result = await smtp.transact(message(recipients))
  assert.deepEqual(
    summary(result),
    recipients.map(recipient => (recipient.startsWith('bad') ? 'rcpt 550' : 'eom 250 accepted')),
  )
  assert.deepEqual(
    receiver.received[0]?.to,
    recipients.filter(recipient => recipient.startsWith('ok')),
  )
  await smtp.quit()
})

test('three hundred transactions kept in flight over one connection arrive in order, each once', async () => {
  await using receiver = await startReceiver({ hideSTARTTLS: true })
  const smtp = await session(receiver.port, { limits: { waitingTransactionsMax: 400 } })
  const results = await Promise.all(
    Array.from({ length: 300 }, (_, index) =>
      smtp.transact(
        message(undefined, { content: { parts: [Buffer.from(`Subject: ${index}\r\n\r\n.\r\n`)] } }),
      ),
    ),
  )
  assert.ok(results.every(result => result.recipients[0]?.isAccepted))
  assert.deepEqual(
    receiver.received.map(({ content }) => content.toString()),
    results.map((_, index) => `Subject: ${index}\r\n\r\n.\r\n`),
  )
  await smtp.quit()
})

test('the smuggling payloads do not leave, alone or beside good content', async () => {
  await using receiver = await startReceiver({ hideSTARTTLS: true })
  const smtp = await session(receiver.port)
  const ends = [
    '\n.\n',
    '\r.\r',
    '\r.\n',
    '\n.\r',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r\n',
    '\r\n.\r',
    '\r\n\0.\r\n',
    '\r\n.\0\r\n',
    '\r\r\n.\r\r\n',
  ]
  for (const end of ends) {
    const content = Buffer.from(`Subject: x\r\n\r\na${end}MAIL FROM:<evil@x.test>\r\n`)
    const result = await smtp.transact(message(undefined, { content: { parts: [content] } }))
    assert.equal(result.failure?.code, 'UNSAFE_CONTENT', JSON.stringify(end))
  }
  const proper = Buffer.from('Subject: x\r\n\r\na\r\n.\r\nMAIL FROM:<evil@x.test>\r\n')
  await send(smtp, [proper])
  assert.deepEqual(receiver.received, [{ from: 'from@a.test', to: ['to@b.test'], content: proper }])
  await smtp.quit()
})

// Real submitting clients: over STARTTLS and over implicit TLS, with PLAIN and with LOGIN, certificates verified.
//
// What they hand in goes through the whole relay and a smarthost route to Debian's Postfix, and must come out there as
// the same bytes. A client that cannot verify our certificate must go away before anything was taken.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { House } from '../scenario/support/house.ts'
import {
  type Certificate,
  freePort,
  makeCertificate,
  makeCertificateAuthority,
  type Receiver,
  Scratch,
  startPostfixReceiver,
} from '../support/peers/index.ts'
import { assertArrived } from './support/arrived.ts'
import { clientPrograms, type Door, type Job, type Mechanism } from './support/client-programs.ts'
import { needs } from './support/needs.ts'

const doors: readonly Door[] = ['starttls', 'implicit']
const mechanisms: readonly Mechanism[] = ['PLAIN', 'LOGIN']
const doorNames: Readonly<Record<Door, string>> = { starttls: 'STARTTLS', implicit: 'implicit TLS' }

/** Lines that clients and servers like to get wrong. */
function contentFor(recipient: string): Buffer {
  return Buffer.from(
    [
      'From: Ann <ann@signed.example>',
      `To: <${recipient}>`,
      'Subject: Grüße  with two  spaces and',
      '\ta fold',
      'Date: Mon, 23 Nov 2026 10:00:00 +0000',
      `Message-ID: <${recipient.replace('@', '.')}@signed.example>`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      '.a line that begins with a dot',
      '..two dots',
      'From a line that looks like an mbox',
      '\ttab, trailing blanks  ',
      'naïve – 8-bit',
      '',
      'the end',
      '',
    ].join('\r\n'),
  )
}

interface Stage {
  readonly house: House
  readonly receiver: Receiver
  readonly folder: string
  readonly authority: Certificate
  readonly strangeAuthority: Certificate
}

async function openStage(owned: AsyncDisposableStack): Promise<Stage> {
  const folder = owned.use(await Scratch.create('clients')).path
  const authority = await makeCertificateAuthority({ directory: folder })
  const strangeAuthority = await makeCertificateAuthority({ directory: folder, name: 'strange-ca' })
  const { certificate, key } = await makeCertificate({
    directory: folder,
    names: ['localhost'],
    ca: authority,
  })
  const port = await freePort()
  const receiver = owned.use(await startPostfixReceiver({ listenAddress: '127.0.0.1', port }))
  const route = `[[route]]\nrecipient_domain = "*"\nsmarthost = "127.0.0.1:${port}"\n`
  const tls = `[tls]\ncertificate = "${certificate}"\nkey = "${key}"\n`
  const house = owned.use(await House.open(route + tls))
  await house.server.json('domain', 'add', '--account', 'acme', '--trust', 'signed.example')
  return { house, receiver, folder, authority, strangeAuthority }
}

function jobFor(stage: Stage, door: Door, mechanism: Mechanism, recipient: string): Job {
  const { ports, login } = stage.house
  return {
    folder: stage.folder,
    host: 'localhost',
    port: door === 'starttls' ? ports.submission : ports.submissions,
    door,
    mechanism,
    authority: stage.authority.certificate,
    username: login.username,
    secret: login.secret,
    from: 'ann@signed.example',
    to: recipient,
    content: contentFor(recipient),
  }
}

const needed = await needs('postfix', 'openssl', ...clientPrograms.flatMap(client => client.peers))

test('clients submit with a verified certificate and their bytes arrive', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const stage = await openStage(owned)
  let taken = 0

  for (const client of clientPrograms) {
    for (const door of doors) {
      for (const mechanism of mechanisms) {
        await context.test(`${client.name} over ${doorNames[door]} with ${mechanism}`, async () => {
          const recipient = `mail${taken}@there.example`
          const job = jobFor(stage, door, mechanism, recipient)
          const sent = await client.send(job)
          assert.ok(sent.isTaken, sent.said)
          taken++
          const mails = await stage.receiver.waitFor(taken, 20_000)
          const mail = mails.find(one => one.rcptTo.includes(recipient))
          assert.ok(mail !== undefined, 'the mail came for another recipient')
          assert.equal(mail.envelopeFrom, 'ann@signed.example')
          assertArrived(mail.bytes, job.content, `what ${client.name} sent`)
          const header = mail.bytes.subarray(0, -job.content.length).toString('latin1')
          assert.match(header, /\bwith ESMTPSA\b/)
          assert.match(header, /^DKIM-Signature: /)
        })
      }
    }
  }

  for (const client of clientPrograms) {
    for (const door of doors) {
      const name = `${client.name} over ${doorNames[door]}`
      await context.test(`${name} goes away when the certificate is signed by a stranger`, async () => {
        const job = jobFor(stage, door, 'PLAIN', 'nobody@there.example')
        const sent = await client.send({ ...job, authority: stage.strangeAuthority.certificate })
        assert.ok(!sent.isTaken, sent.said)
        assert.match(sent.said, /certificate|issuer/i)
      })

      if (!client.checksName) continue
      await context.test(`${name} goes away when the certificate is for another name`, async () => {
        const job = jobFor(stage, door, 'PLAIN', 'nobody@there.example')
        const sent = await client.send({ ...job, host: '127.0.0.1' })
        assert.ok(!sent.isTaken, sent.said)
        assert.match(sent.said, /certificate|subject|name|altnames/i)
      })
    }
  }

  await context.test('of the clients that went away nothing was taken', async () => {
    const events = await stage.house.server.events()
    assert.equal(events.filter(event => event['type'] === 'accepted').length, taken)
    assert.equal(taken, clientPrograms.length * doors.length * mechanisms.length)
  })
})

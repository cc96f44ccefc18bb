// Smuggling towards a server that can be fooled: Debian's Postfix 3.7 with its defaults takes LF.CRLF for the end of a
// message. Each of the ten payloads goes through us by DATA and by BDAT, with bare LF refused and with bare LF mended;
// what we accept must be one message there, and what we refuse must be none.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClientReply, queuedId, SmtpClient } from '../scenario/support/client.ts'
import { House, type Login, message, waitForAll } from '../scenario/support/house.ts'
import { freePort, type Receiver, startPostfixReceiver } from '../support/peers/index.ts'
import { needs } from './support/needs.ts'

/** What stands between two messages, and whether it is only LF where CR LF belongs: that can be mended. */
const falseEnds: readonly (readonly [name: string, octets: string, canBeMended: boolean])[] = [
  ['LF . LF', '\n.\n', true],
  ['LF . CR LF', '\n.\r\n', true],
  ['CR LF . LF', '\r\n.\n', true],
  ['LF . CR', '\n.\r', false],
  ['CR . CR', '\r.\r', false],
  ['CR . LF', '\r.\n', false],
  ['CR . CR LF', '\r.\r\n', false],
  ['CR LF . CR', '\r\n.\r', false],
  ['CR LF NUL . CR LF', '\r\n\0.\r\n', false],
  ['CR LF . NUL CR LF', '\r\n.\0\r\n', false],
]

const smuggled = [
  'MAIL FROM:<ann@acme.example>',
  'RCPT TO:<smuggled@there.example>',
  'DATA',
  'From: ann@acme.example',
  'Subject: smuggled',
  '',
  'smuggled',
].join('\r\n')

const ways = ['DATA', 'BDAT'] as const

/** One message whose content holds the payload; the reply to its end. */
async function push(client: SmtpClient, way: 'DATA' | 'BDAT', to: string, end: string): Promise<ClientReply> {
  const content = `${message()}${end}${smuggled}`
  if (way === 'DATA') return await client.send('ann@acme.example', to, content)
  await client.command('MAIL FROM:<ann@acme.example>')
  await client.command(`RCPT TO:<${to}>`)
  client.write(`BDAT ${content.length + 2} LAST\r\n${content}\r\n`)
  return await client.reply()
}

/** How many messages Postfix took from its clients. */
async function messagesTaken(receiver: Receiver): Promise<number> {
  return (await receiver.log()).split('\n').filter(line => /\/cleanup\[\d+\]: \w+: message-id=/.test(line))
    .length
}

const needed = await needs('postfix')

test('nothing can be smuggled through us to a Postfix that would be fooled', needed, async context => {
  await using receiver = await startPostfixReceiver({ listenAddress: '127.0.0.1', port: await freePort() })
  await using house = await House.open(
    `[[route]]\nrecipient_domain = "*"\nsmarthost = "127.0.0.1:${receiver.port}"\n`,
  )
  const mending = await house.server.json<Login & Record<string, never>>(
    'credential',
    'create',
    '--account',
    'acme',
    '--bare-lf',
    'mend',
  )
  const expected: string[] = []
  const accepted: string[] = []

  for (const [name, end, canBeMended] of falseEnds) {
    for (const way of ways) {
      await context.test(`${name} by ${way} is refused`, async () => {
        await using client = await house.client()
        const reply = await push(client, way, 'refused@there.example', end)
        assert.match(reply.text, /^55\d 5\.6\.0 /)
        accepted.push(queuedId(await client.send('ann@acme.example', 'honest@there.example', message())))
        expected.push('honest@there.example')
      })

      const fate = canBeMended ? 'becomes one mended message' : 'is refused'
      await context.test(`${name} by ${way} where bare LF is mended ${fate}`, async () => {
        await using client = await house.client(mending)
        const to = `mended${expected.length}@there.example`
        const reply = await push(client, way, to, end)
        if (!canBeMended) {
          assert.match(reply.text, /^55\d 5\.6\.0 /)
          return
        }
        accepted.push(queuedId(reply))
        expected.push(to)
      })
    }
  }

  await context.test('Postfix got each accepted message once, and no other', async () => {
    await waitForAll(house.server, accepted, 'delivered')
    const mails = await receiver.waitFor(expected.length)
    assert.deepEqual(mails.flatMap(mail => mail.rcptTo).sort(), [...expected].sort())
    assert.equal(await messagesTaken(receiver), expected.length)
    for (const mail of mails.filter(one => one.rcptTo[0]!.startsWith('mended'))) {
      const text = mail.bytes.toString('latin1')
      // After a true CRLF the lone dot is stuffing and goes, as in any other line (RFC 5321 §4.5.2).
      assert.match(text, /\r\nHello\.\r\n\.?\r\nMAIL FROM:<ann@acme\.example>\r\n/)
      assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n/)
    }
  })

  await context.test('the same Postfix is fooled when it is spoken to directly', async () => {
    await using client = await SmtpClient.connect(receiver.port)
    await client.hello()
    await push(client, 'DATA', 'victim@there.example', '\n.\r\n')
    const mails = await receiver.waitFor(expected.length + 2)
    assert.ok(mails.some(mail => mail.rcptTo.includes('smuggled@there.example')))
  })
})

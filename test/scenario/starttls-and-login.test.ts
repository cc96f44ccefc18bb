// Situation: clients come to the doors that demand TLS and a login, some with tricks, some with wrong words.
//
// What was sent in the clear must not survive TLS, a secret must never be asked for without TLS, and a wrong one must
// not tell what was wrong about it. Failed logins are made from addresses of their own, since answers to them slow down.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { base64, plainToken, queuedId, SmtpClient } from './support/client.ts'
import { House, type Login, message, waitForAll, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let receiver: Receiver
let house: House
let apiKey: Login

before(async () => {
  receiver = await Receiver.start()
  house = await House.open(receiver.route)
  apiKey = await house.server.json<Login>('credential', 'create', '--account', 'acme', '--kind', 'api')
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

const plainDoors = ['submission', 'relay'] as const

for (const door of plainDoors) {
  const tails = [
    ['a whole dialogue', 'EHLO x\r\nMAIL FROM:<ann@acme.example>\r\n'],
    ['a second STARTTLS', 'STARTTLS\r\n'],
    ['half a line', 'MAIL FR'],
    ['16 KiB', 'x'.repeat(16_384)],
    ['one octet', 'N'],
  ] as const
  for (const [name, tail] of tails) {
    test(`${door}: STARTTLS with ${name} in the same segment ends the connection, and nothing is answered`, async () => {
      await using client = await SmtpClient.connect(house.ports[door])
      await client.hello()
      client.write(`STARTTLS\r\n${tail}`)
      assert.match((await client.reply()).text, /^554 /)
      assert.equal(await client.replyOrEnd(), null)
    })
  }

  test(`${door}: after the handshake the client is unknown again and STARTTLS is not offered`, async () => {
    await using client = await SmtpClient.connect(house.ports[door])
    assert.ok((await client.hello('remembered.example')).includes('STARTTLS'))
    client.write('STARTTLS\r\n')
    await client.expect(220)
    await client.handshake()
    assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 503, 'EHLO is forgotten')
    const keywords = await client.hello()
    assert.ok(!keywords.includes('STARTTLS'))
    assert.ok(keywords.includes('AUTH PLAIN LOGIN'))
    assert.equal((await client.command('STARTTLS')).code, 503)
  })

  test(`${door}: STARTTLS takes no parameter`, async () => {
    await using client = await SmtpClient.connect(house.ports[door])
    await client.hello()
    assert.equal((await client.command('STARTTLS now')).code, 501)
  })

  test(`${door}: AUTH is not offered before TLS, and refused without reading the secret`, async () => {
    await using client = await SmtpClient.connect(house.ports[door])
    const keywords = await client.hello()
    assert.deepEqual(
      keywords.filter(keyword => keyword.startsWith('AUTH')),
      [],
    )
    const { username, secret } = house.login
    assert.match((await client.command(`AUTH PLAIN ${plainToken(username, secret)}`)).text, /^53[08] 5\.7\./)
    assert.match((await client.command('AUTH LOGIN')).text, /^53[08] 5\.7\./, 'no challenge')
    assert.equal((await client.command('NOOP')).code, 250)
    await client.startTls()
    assert.match((await client.command('MAIL FROM:<ann@acme.example>')).text, /^530 5\.7\.0 /)
  })
}

test('a message without TLS and login is refused with 530 at every door', async () => {
  for (const door of plainDoors) {
    await using client = await SmtpClient.connect(house.ports[door])
    await client.hello()
    assert.match((await client.command('MAIL FROM:<ann@acme.example>')).text, /^530 5\.7\.0 /)
  }
  await using client = await SmtpClient.connect(house.ports.submissions, { isTls: true })
  await client.hello()
  assert.match((await client.command('MAIL FROM:<ann@acme.example>')).text, /^530 5\.7\.0 /)
})

test('both kinds of credential work with PLAIN and with LOGIN, at all doors', async () => {
  const ids: string[] = []
  assert.equal(apiKey.username, 'apikey')
  for (const door of ['submission', 'submissions', 'relay'] as const)
    for (const { username, secret } of [house.login, apiKey]) {
      const dialogues = [
        [`AUTH PLAIN ${plainToken(username, secret)}`],
        ['AUTH PLAIN', plainToken(username, secret)],
        [`AUTH PLAIN ${plainToken(username, secret, username)}`],
        ['AUTH LOGIN', base64(username), base64(secret)],
        [`AUTH LOGIN ${base64(username)}`, base64(secret)],
      ]
      for (const lines of dialogues) {
        const isTls = door === 'submissions'
        await using client = await SmtpClient.connect(house.ports[door], { isTls })
        await client.hello()
        if (!isTls) await client.startTls()
        for (const line of lines.slice(0, -1)) assert.equal((await client.command(line)).code, 334)
        assert.match((await client.command(lines.at(-1)!)).text, /^235 2\.7\.0 /)
        ids.push(queuedId(await client.send('ann@acme.example', 'bob@there.example', message())))
      }
    }
  await waitForAll(house.server, ids, 'delivered')
})

test('an unknown user, a wrong secret and a secret of the other kind are told the same', async () => {
  const { username, secret } = house.login
  const wrong = [
    [username, `${secret.slice(0, -1)}${secret.endsWith('a') ? 'b' : 'a'}`],
    ['nobody-here', secret],
    ['apikey', secret],
    [username, apiKey.secret],
    ['acme', secret],
  ] as const
  const replies = new Set<string>()
  for (const [at, [user, password]] of wrong.entries()) {
    await using client = await SmtpClient.connect(house.ports.submission, {
      localAddress: `127.0.1.${at + 1}`,
    })
    await client.hello()
    await client.startTls()
    replies.add((await client.command(`AUTH PLAIN ${plainToken(user, password)}`)).text)
    assert.match((await client.command('MAIL FROM:<ann@acme.example>')).text, /^530 5\.7\.0 /)
  }
  assert.equal(replies.size, 1)
  assert.match([...replies][0]!, /^535 5\.7\.8 /)
})

test('acting for another user with one’s own secret is refused', async () => {
  await using client = await SmtpClient.connect(house.ports.submission, { localAddress: '127.0.2.1' })
  await client.hello()
  await client.startTls()
  const { username, secret } = house.login
  const reply = await client.command(`AUTH PLAIN ${plainToken(username, secret, 'apikey')}`)
  assert.match(reply.text, /^535 5\.7\.8 /)
  assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 530)
})

test('after a failed login the right one still works, and weaker mechanisms are unknown', async () => {
  await using client = await SmtpClient.connect(house.ports.submission, { localAddress: '127.0.2.2' })
  await client.hello()
  await client.startTls()
  assert.match((await client.command('AUTH CRAM-MD5')).text, /^504 5\.5\.4 /)
  const { username, secret } = house.login
  assert.equal((await client.command(`AUTH PLAIN ${plainToken(username, 'wrong')}`)).code, 535)
  assert.equal((await client.command(`AUTH PLAIN ${plainToken(username, secret)}`)).code, 235)
})

test('a revoked credential stops working at once, in open sessions too', async () => {
  const extra = await house.server.json<Login>('credential', 'create', '--account', 'acme')
  await using open = await house.client(extra)
  await house.server.json('credential', 'revoke', extra.id)
  await using client = await SmtpClient.connect(house.ports.submission, { localAddress: '127.0.2.3' })
  await client.hello()
  await client.startTls()
  assert.equal((await client.command(`AUTH PLAIN ${plainToken(extra.username, extra.secret)}`)).code, 535)
  assert.match((await open.command('MAIL FROM:<ann@acme.example>')).text, /^5\d\d 5\.7\./)
})

test('a credential that is revoked inside of a transaction does not get as far as the content', async () => {
  for (const command of ['DATA', 'BDAT 5 LAST\r\nhello']) {
    const extra = await house.server.json<Login>('credential', 'create', '--account', 'acme')
    await using open = await house.client(extra)
    assert.equal((await open.command('MAIL FROM:<ann@acme.example>')).code, 250)
    assert.equal((await open.command('RCPT TO:<bob@there.example>')).code, 250)
    await house.server.json('credential', 'revoke', extra.id)
    const reply = await open.command(command)
    assert.match(reply.text, /^530 5\.7\.0 .*was revoked.*\[authentication-required\]$/)
  }
})

test('no secret stands in the log, and the event log has only what the account did', async () => {
  for (const { secret } of [house.login, apiKey]) {
    assert.ok(!house.server.output.includes(secret))
    assert.ok(!house.server.output.includes(base64(secret)))
  }
  assert.match(house.server.output, /auth\.failed/)
  const events = await waitForEvents(house.server, all => all.some(event => event.type === 'rejected'))
  const types = new Set(events.map(event => event.type))
  assert.deepEqual(types, new Set(['accepted', 'delivered', 'rejected']))
})

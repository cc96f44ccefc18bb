// Commands and their parameters, phases and pipelining over a real socket.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codes, TestServer, until } from './test-kit.ts'

test('EHLO announces the extensions and HELO none', async () => {
  await using server = await TestServer.start({ maxSizeBytes: 1000, limits: { mailsPerSession: 7 } })
  const client = await server.connect()
  const lines = (await client.talk('EHLO client.test')).split('\r\n').map(line => line.slice(4))
  assert.deepEqual(lines.slice(1), [
    'PIPELINING',
    'SIZE 1000',
    '8BITMIME',
    'SMTPUTF8',
    'ENHANCEDSTATUSCODES',
    'CHUNKING',
    'DSN',
    'LIMITS RCPTMAX=1000 MAILMAX=7',
  ])
  assert.equal(await client.talk('HELO client.test'), '250 mx.test')
})

const dialogue: readonly [line: string, codes: string][] = [
  ['MAIL FROM:<a@b.test>', '503 5.5.1'],
  ['EHLO', '501 5.5.4'],
  ['EHLO a;b', '501 5.5.4'],
  ['EHLO [127.0.0.1]', '250'],
  ['RCPT TO:<a@b.test>', '503 5.5.1'],
  ['DATA', '503 5.5.1'],
  ['mail from:<a@b.test>', '250 2.1.0'],
  ['MAIL FROM:<a@b.test>', '503 5.5.1'],
  ['DATA', '503 5.5.1'],
  ['RCPT TO:<bad@b.test>', '550 5.1.1'],
  ['DATA', '503 5.5.1'],
  ['RCPT TO: <b@b.test>', '250 2.1.5'],
  ['DATA now', '501 5.5.4'],
  ['RSET', '250 2.0.0'],
  ['RCPT TO:<a@b.test>', '503 5.5.1'],
  ['VRFY a', '252 2.5.2'],
  ['EXPN a', '502 5.5.1'],
  ['ETRN a', '502 5.5.1'],
  ['XCLIENT ADDR=10.0.0.1', '502 5.5.1'],
  ['HELP', '214 2.0.0'],
  ['NOOP whatever', '250 2.0.0'],
  ['FOO', '500 5.5.2'],
  ['', '500 5.5.2'],
  ['QUIT', '221 2.0.0'],
]

test('commands out of place or malformed get their codes and leave the session usable', async () => {
  await using server = await TestServer.start()
  const client = await server.connect()
  for (const [line, expected] of dialogue) assert.equal(codes(await client.talk(line)), expected, line)
  await until(() => server.recorder.closed === 1)
  assert.equal(await server.closeReason(), 'quit')
})

test('EHLO in a transaction gives it up', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('EHLO again.test')
  assert.equal(server.recorder.calls.at(-1), 'reset')
  assert.equal(codes(await client.talk('DATA')), '503 5.5.1')
})

const mailLines: readonly [line: string, codes: string][] = [
  ['MAIL FROM:<> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b', '250 2.1.0'],
  ['MAIL FROM:<a@b.test> SIZE=1001', '552 5.3.4'],
  ['MAIL FROM:<a@b.test> SIZE=', '501 5.5.4'],
  ['MAIL FROM:<a@b.test> SIZE=x', '501 5.5.4'],
  ['MAIL FROM:<a@b.test> SIZE=1 SIZE=1', '501 5.5.4'],
  ['MAIL FROM:<a@b.test> BODY=BINARYMIME', '501 5.5.4'],
  ['MAIL FROM:<a@b.test> RET=SOME', '501 5.5.4'],
  ['MAIL FROM:<a@b.test> ENVID=a+0D+0Ab', '501 5.5.4'],
  ['MAIL FROM:<a@b.test> CONSTRUCTOR=1', '555 5.5.4'],
  ['MAIL FROM:<a@b.test> FOO', '555 5.5.4'],
  ['MAIL FROM:<ü@b.test>', '553 5.6.7'],
  ['MAIL FROM:<a@bücher.test>', '553 5.6.7'],
  ['MAIL FROM:<ü@bücher.test> SMTPUTF8', '250 2.1.0'],
  ['MAIL FROM:a@b.test', '501 5.1.7'],
  ['MAIL FROM:<postmaster>', '250 2.1.0'],
  ['MAIL TO:<a@b.test>', '501 5.5.4'],
]
for (const [line, expected] of mailLines) {
  test(`${line} is answered ${expected}`, async () => {
    await using server = await TestServer.start({ maxSizeBytes: 1000 })
    const client = await server.greeted()
    assert.equal(codes(await client.talk(line)), expected)
  })
}

const rcptLines: readonly [line: string, codes: string][] = [
  ['RCPT TO:<b@c.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bx@c.test', '250 2.1.5'],
  ['RCPT TO:<b@c.test> NOTIFY=NEVER', '250 2.1.5'],
  ['RCPT TO:<b@c.test> NOTIFY=NEVER,DELAY', '501 5.5.4'],
  ['RCPT TO:<b@c.test> NOTIFY=', '501 5.5.4'],
  ['RCPT TO:<b@c.test> ORCPT=b@c.test', '501 5.5.4'],
  ['RCPT TO:<b@c.test> ORCPT=rfc822;a+0Ab', '501 5.5.4'],
  ['RCPT TO:<b@c.test> FOO=1', '555 5.5.4'],
  ['RCPT TO:<>', '501 5.1.3'],
  ['RCPT TO:<Postmaster>', '250 2.1.5'],
  ['RCPT TO:<b>', '501 5.1.3'],
  ['RCPT TO:<ü@c.test>', '553 5.6.7'],
]
for (const [line, expected] of rcptLines) {
  test(`${line} is answered ${expected}`, async () => {
    await using server = await TestServer.start()
    const client = await server.greeted()
    await client.talk('MAIL FROM:<a@b.test>')
    assert.equal(codes(await client.talk(line)), expected)
  })
}

test('the handler gets DSN parameters decoded', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  await client.talk('MAIL FROM:<a@b.test> RET=FULL ENVID=id+2B1 SIZE=12 BODY=8BITMIME')
  await client.talk('RCPT TO:<b@c.test> NOTIFY=NEVER ORCPT=rfc822;other+2Bx@d.test')
  await client.talk('DATA')
  await client.talk('.')
  const { mailParameters, recipients } = server.recorder.contents[0]!
  assert.deepEqual(mailParameters, {
    body: '8bitmime',
    isSmtpUtf8: false,
    ret: 'FULL',
    envelopeId: 'id+1',
    sizeBytes: 12,
  })
  assert.deepEqual(recipients[0]!.parameters, {
    notify: [],
    originalRecipient: { type: 'rfc822', address: 'other+x@d.test' },
  })
  assert.equal(recipients[0]!.path.domain, 'c.test')
})

test('one write of MAIL, 50 RCPT with every third bad, and DATA gets its replies in order', async () => {
  for (const isSlow of [false, true]) {
    await using server = await TestServer.start()
    server.recorder.isSlow = isSlow
    const client = await server.greeted()
    const rcpts = Array.from(
      { length: 50 },
      (_, i) => `RCPT TO:<${i % 3 === 2 ? 'bad' : 'good'}${i}@b.test>\r\n`,
    )
    client.send(`MAIL FROM:<a@b.test>\r\n${rcpts.join('')}DATA\r\n`)
    const got = (await client.replies(52)).map(codes)
    const expected = rcpts.map((_, i) => (i % 3 === 2 ? '550 5.1.1' : '250 2.1.5'))
    assert.deepEqual(got, ['250 2.1.0', ...expected, '354'])
    client.send('x\r\n.\r\nMAIL FROM:<c@d.test>\r\nRCPT TO:<bad@b.test>\r\nDATA\r\n')
    assert.deepEqual((await client.replies(4)).map(codes), [
      '250 2.0.0',
      '250 2.1.0',
      '550 5.1.1',
      '503 5.5.1',
    ])
    assert.equal(server.recorder.contents[0]?.recipients.length, 34)
  }
})

test('text behind a refused DATA is not read as commands', async () => {
  await using server = await TestServer.start({ trustsClient: () => true })
  const client = await server.greeted()
  client.send('MAIL FROM:<a@b.test>\r\nRCPT TO:<bad@b.test>\r\nDATA\r\nMAIL FROM:<evil@b.test>\r\n.\r\n')
  const { replies } = await client.untilClosed()
  assert.deepEqual(replies.map(codes), ['250 2.1.0', '550 5.1.1', '503 5.5.1', '554 5.5.0'])
  assert.ok(!server.recorder.calls.some(call => call.includes('evil')))
})

test('a trusted client may send its content without waiting for 354', async () => {
  await using server = await TestServer.start({ trustsClient: () => true })
  const client = await server.greeted()
  client.send('MAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n')
  const { replies } = await client.untilClosed()
  assert.deepEqual(replies.map(codes), ['250 2.1.0', '250 2.1.5', '354', '250 2.0.0', '221 2.0.0'])
  assert.equal(server.recorder.contents[0]?.text, 'hello\r\n')
})

for (const line of ['EHLO x', 'HELO x', 'NOOP', 'VRFY x']) {
  test(`an unknown client that sends on behind ${line} is cut off`, async () => {
    await using server = await TestServer.start()
    const client = await server.greeted()
    client.send(`${line}\r\nMAIL FROM:<a@b.test>\r\n`)
    const { replies } = await client.untilClosed()
    assert.deepEqual(replies.map(codes), ['554 5.5.0'])
    assert.equal(await server.closeReason(), 'pipelining')
  })
}

test('an unknown client that sends content before 354 is cut off', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  client.send('DATA\r\nhello\r\n.\r\n')
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['554 5.5.0'])
  assert.deepEqual(server.recorder.contents, [])
})

// Commands, phases, pipelining and BDAT over a real socket.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
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

test('a content is refused when the handler refuses DATA, and the next transaction works', async () => {
  await using server = await TestServer.start()
  server.recorder.answers = { content: () => smtpReply(452, '4.3.1', 'Disk is full') }
  const client = await server.inTransaction()
  assert.equal(codes(await client.talk('DATA')), '452 4.3.1')
  assert.equal(server.recorder.calls.at(-1), 'reset')
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), '250 2.1.0')
})

test('content over the limit is swallowed and refused with 552; the session stays usable', async () => {
  await using server = await TestServer.start({ maxSizeBytes: 1000 })
  const client = await server.greeted()
  await client.talk('MAIL FROM:<a@b.test> SIZE=10')
  await client.talk('RCPT TO:<b@b.test>')
  await client.talk('DATA')
  client.send(`${'x'.repeat(78)}\r\n`.repeat(25))
  client.send('.\r\n')
  assert.equal(codes(await client.reply()), '552 5.3.4')
  assert.equal(server.recorder.aborts, 1)
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
})

test('content without end far over the limit closes the connection', async () => {
  await using server = await TestServer.start({ maxSizeBytes: 1000 })
  const client = await server.inTransaction()
  await client.talk('DATA')
  client.send('x'.repeat(200_000))
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['552 5.3.4'])
})

test('facts about the content are counted', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  client.send('Subject: ü\r\n\r\n..123456789\r\nx\r\n.\r\n')
  await client.reply()
  const { facts, text } = server.recorder.contents[0]!
  const counted = { sizeBytes: text.length, hasEightBit: true, longestLineBytes: 11, hasDotLine: true }
  assert.deepEqual(facts, counted)
})

// ---- BDAT ---------------------------------------------------------------------------------------------------------

test('BDAT chunks are answered one by one and joined', async () => {
  for (const isSlow of [false, true]) {
    await using server = await TestServer.start()
    server.recorder.isSlow = isSlow
    const client = await server.inTransaction()
    client.send('BDAT 4\r\na\r\n.BDAT 0\r\nBDAT 5\r\n\r\nb\r\nBDAT 0 LAST\r\n')
    assert.deepEqual(await client.replies(4), [
      '250 2.0.0 4 octets received',
      '250 2.0.0 0 octets received',
      '250 2.0.0 5 octets received',
      '250 2.0.0 Queued as msg_1',
    ])
    assert.equal(server.recorder.contents[0]?.text, 'a\r\n.\r\nb\r\n')
    assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), '250 2.1.0')
  }
})

test('a BDAT content without final CRLF gets one', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  client.send('BDAT 3 LAST\r\nabc')
  await client.reply()
  assert.equal(server.recorder.contents[0]?.text, 'abc\r\n')
})

test('a BDAT content that ends in CR is refused', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  client.send('BDAT 2\r\na\rBDAT 0 LAST\r\n')
  assert.deepEqual((await client.replies(2)).map(codes), ['250 2.0.0', '550 5.6.0'])
})

test('CRLF may be split between two BDAT chunks', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  client.send('BDAT 2\r\na\rBDAT 1 LAST\r\n\n')
  assert.deepEqual((await client.replies(2)).map(codes), ['250 2.0.0', '250 2.0.0'])
  assert.equal(server.recorder.contents[0]?.text, 'a\r\n')
})

test('DATA and BDAT do not mix, and MAIL and RCPT wait for the last chunk', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  client.send('BDAT 1\r\na')
  await client.reply()
  for (const line of ['DATA', 'MAIL FROM:<a@b.test>', 'RCPT TO:<a@b.test>'])
    assert.equal(codes(await client.talk(line)), '503 5.5.1', line)
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
  assert.equal(codes(await client.talk('RSET')), '250 2.0.0')
  assert.equal(server.recorder.aborts, 1)
})

test('the octets of a BDAT out of place are swallowed', async () => {
  await using server = await TestServer.start()
  const client = await server.connect()
  client.send('BDAT 6 LAST\r\nRSET\r\n')
  assert.equal(codes(await client.reply()), '503 5.5.1')
  await client.talk('EHLO x')
  client.send('BDAT 6 LAST\r\nQUIT\r\n')
  assert.equal(codes(await client.reply()), '503 5.5.1')
  await client.talk('MAIL FROM:<a@b.test>')
  client.send('BDAT 6 LAST\r\nQUIT\r\n')
  assert.equal(codes(await client.reply()), '503 5.5.1')
  assert.equal(codes(await client.talk('RCPT TO:<b@b.test>')), '250 2.1.5')
})

test('after a refused chunk the rest of the chunks is swallowed and answered 503', async () => {
  await using server = await TestServer.start({ maxSizeBytes: 1000 })
  const client = await server.inTransaction()
  client.send('BDAT 3\r\na\nbBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n')
  assert.deepEqual((await client.replies(3)).map(codes), ['550 5.6.0', '503 5.5.1', '503 5.5.1'])
  assert.equal(server.recorder.aborts, 1)
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), '250 2.1.0')
  await client.talk('RCPT TO:<b@b.test>')
  client.send(`BDAT 600\r\n${'x'.repeat(600)}BDAT 600 LAST\r\n${'x'.repeat(600)}`)
  assert.deepEqual((await client.replies(2)).map(codes), ['250 2.0.0', '552 5.3.4'])
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
})

test('a BDAT that the handler refuses is swallowed first', async () => {
  await using server = await TestServer.start()
  server.recorder.answers = { content: () => Promise.resolve(smtpReply(452, '4.3.1', 'Disk is full')) }
  const client = await server.inTransaction()
  client.send('BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n')
  assert.deepEqual((await client.replies(2)).map(codes), ['452 4.3.1', '250 2.0.0'])
})

for (const line of [
  'BDAT',
  'BDAT x',
  'BDAT -1',
  'BDAT 1 LAST x',
  'BDAT 99999999999999999999',
  'BDAT 999999999999',
]) {
  test(`${line} closes the connection, since nobody can tell octets from commands`, async () => {
    await using server = await TestServer.start()
    const client = await server.inTransaction()
    client.send(`${line}\r\nNOOP\r\n`)
    const { replies } = await client.untilClosed()
    assert.equal(replies.length, 1)
    assert.match(replies[0]!, /^5/)
  })
}

test('the answer to a content does not wait for the contents that were sent behind it', async () => {
  for (const isEndSlow of [true, false]) {
    await using server = await TestServer.start({ trustsClient: () => true })
    const never = new Promise<never>(() => {})
    let contents = 0
    server.recorder.answers = {
      content: () => {
        const isFirst = ++contents === 1
        const queued = smtpReply(250, '2.0.0', `Queued as ${contents}`)
        const sink = {
          write: () => (isFirst || isEndSlow ? undefined : never),
          end: async () => (isFirst ? queued : await never),
          abort: () => {},
        }
        return { bareLf: 'refuse', sink }
      },
    }
    const client = await server.greeted()
    const group = 'MAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\nBDAT 3 LAST\r\na\r\n'
    client.send(group.repeat(2))
    assert.deepEqual((await client.replies(3)).map(codes), ['250 2.1.0', '250 2.1.5', '250 2.0.0'])
    assert.equal(contents, 2)
  }
})

test('the answer to a content and the goodbye leave in one write', async () => {
  await using server = await TestServer.start({ trustsClient: () => true })
  server.recorder.isSlow = true
  const client = await server.inTransaction()
  await client.talk('DATA')
  const reads: string[] = []
  client.socket.on('data', chunk => reads.push(chunk.toString('latin1')))
  client.send('x\r\n.\r\nQUIT\r\n')
  await client.untilClosed()
  assert.equal(reads.length, 1, reads.join('|'))
})

// ---- the handler fails ---------------------------------------------------------------------------------------------

const boom = (): never => {
  throw new Error('boom')
}
const reject = (): Promise<never> => Promise.reject(new Error('boom'))
for (const [name, fail] of [
  ['throws', boom],
  ['rejects', reject],
] as const) {
  test(`a handler that ${name} at MAIL, RCPT or DATA gives 451 4.3.0 and the session goes on`, async () => {
    await using server = await TestServer.start()
    for (const method of ['mail', 'rcpt', 'content'] as const) {
      server.recorder.answers = { [method]: fail }
      const client = await server.greeted()
      const lines = ['MAIL FROM:<a@b.test>', 'RCPT TO:<b@b.test>', 'DATA']
      const got: string[] = []
      for (const line of lines) {
        const reply = codes(await client.talk(line))
        got.push(reply)
        if (reply.startsWith('4')) break
      }
      assert.equal(got.at(-1), '451 4.3.0', method)
      assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
      assert.equal(codes(await client.talk('RCPT TO:<b@b.test>')), '503 5.5.1')
      client.destroy()
    }
    assert.equal(server.recorder.faults.length, 3)
  })

  test(`a sink that ${name} at write or end gives 451 4.3.0 after the true end`, async () => {
    await using server = await TestServer.start()
    for (const method of ['write', 'end'] as const) {
      let aborts = 0
      const sink = { write: () => {}, end: () => smtpReply(250, '2.0.0', 'OK'), abort: () => void aborts++ }
      server.recorder.answers = { content: () => ({ bareLf: 'refuse', sink: { ...sink, [method]: fail } }) }
      const client = await server.inTransaction()
      await client.talk('DATA')
      client.send('a\r\nb\r\n')
      client.send('c\r\n.\r\n')
      assert.equal(codes(await client.reply()), '451 4.3.0')
      assert.equal(aborts, method === 'write' ? 1 : 0)
      assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), '250 2.1.0')
    }
  })

  test(`a handler that ${name} at the opening refuses the connection`, async () => {
    await using server = await TestServer.start()
    server.recorder.answers = { open: fail }
    const client = server.connectRaw()
    assert.deepEqual((await client.untilClosed()).replies.map(codes), ['451 4.3.0'])
  })
}

test('a defect in the judging of a command is 451 4.3.0, and ends the session only where octets follow', async () => {
  // Stands for a defect: whoever compares with it throws.
  const trap = { valueOf: boom, toString: () => '1000' } as unknown as number
  await using server = await TestServer.start({ maxSizeBytes: trap })
  const client = await server.greeted()
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test> SIZE=1')), '451 4.3.0')
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), '250 2.1.0')
  assert.equal(codes(await client.talk('RCPT TO:<b@b.test>')), '250 2.1.5')
  client.send('BDAT 6 LAST\r\nRSET\r\n')
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['451 4.3.0'])
  assert.deepEqual(server.recorder.faults, ['MAIL: Error: boom', 'BDAT: Error: boom'])
})

test('the handler may refuse a connection with its own greeting', async () => {
  await using server = await TestServer.start()
  server.recorder.answers = { open: () => smtpReply(554, '5.7.1', 'Go away') }
  const client = server.connectRaw()
  assert.deepEqual((await client.untilClosed()).replies, ['554 5.7.1 Go away'])
})

test('an answer of the handler cannot smuggle a second reply', async () => {
  await using server = await TestServer.start()
  server.recorder.answers = {
    mail: () => ({ code: 550, enhanced: '5.1.8', lines: ['bad\r\n250 2.0.0 fine', 'x'.repeat(1200)] }),
  }
  const client = await server.greeted()
  const reply = await client.talk('MAIL FROM:<a@b.test>')
  const lines = reply.split('\r\n')
  assert.ok(lines.every(line => /^550[ -]5\.1\.8 /.test(line) && line.length <= 510))
  assert.equal(lines.length, 4)
})

test('a client that goes away in DATA leaves an aborted sink and a closed handler', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  client.send('half a mess')
  await until(() => server.recorder.calls.at(-1) === 'content')
  client.destroy()
  await until(() => server.recorder.closed === 1)
  assert.equal(server.recorder.aborts, 1)
  assert.deepEqual(server.recorder.contents, [])
})

test('a client that closes its side after the last byte still gets every reply', async () => {
  await using server = await TestServer.start({ trustsClient: () => true })
  server.recorder.isSlow = true
  const client = server.connectRaw()
  await client.reply()
  client.socket.end('EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nhello\r\n.\r\n')
  const { replies } = await client.untilClosed()
  assert.deepEqual(replies.map(codes), ['250', '250 2.1.0', '250 2.1.5', '354', '250 2.0.0'])
})

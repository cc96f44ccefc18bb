// Contents by DATA and BDAT: how they begin, are joined, counted, refused and answered.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
import { codes, TestServer } from './test-kit.ts'

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

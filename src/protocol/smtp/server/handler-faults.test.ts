// A handler that fails or refuses, and a client that goes away while it is asked.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
import { codes, TestServer, until } from './test-kit.ts'

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

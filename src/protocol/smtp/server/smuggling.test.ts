// SMTP smuggling (CVE-2023-51764 and its kin): which bytes end DATA, which are refused, and that nothing behind a
// false end is ever read as a command.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codes, TestServer } from './test-kit.ts'

const smuggled = 'MAIL FROM:<evil@sender.test>\r\nRCPT TO:<victim@rcpt.test>\r\nDATA\r\nevil\r\n'

const falseEnds: readonly [name: string, bytes: string][] = [
  ['LF . LF', '\n.\n'],
  ['CR . CR', '\r.\r'],
  ['CR . LF', '\r.\n'],
  ['LF . CR', '\n.\r'],
  ['LF . CRLF', '\n.\r\n'],
  ['CRLF . LF', '\r\n.\n'],
  ['CR . CRLF', '\r.\r\n'],
  ['CRLF . CR', '\r\n.\r'],
  ['CRLF NUL . CRLF', '\r\n\0.\r\n'],
  ['CRLF . NUL CRLF', '\r\n.\0\r\n'],
]

for (const [name, bytes] of falseEnds) {
  test(`${name} does not end DATA; the content is refused after its true end`, async () => {
    await using server = await TestServer.start()
    const client = await server.inTransaction()
    assert.equal(codes(await client.talk('DATA')), '354')
    client.send(`Subject: x\r\n\r\nbody${bytes}${smuggled}.\r\n`)
    assert.equal(codes(await client.reply()), '550 5.6.0')
    assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
    assert.deepEqual(server.recorder.contents, [])
    assert.equal(server.recorder.aborts, 1)
    assert.ok(!server.recorder.calls.some(call => call.includes('evil') || call.includes('victim')))
  })

  test(`${name} inside a BDAT chunk is refused with the whole content`, async () => {
    await using server = await TestServer.start()
    const client = await server.inTransaction()
    const content = `Subject: x\r\n\r\nbody${bytes}${smuggled}`
    client.send(`BDAT ${content.length} LAST\r\n${content}`)
    assert.equal(codes(await client.reply()), '550 5.6.0')
    assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
    assert.deepEqual(server.recorder.contents, [])
  })
}

test('the refusal names the fault and its line', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  client.send('one\r\ntwo\r\nthree\rmore\r\n.\r\n')
  assert.match(await client.reply(), /CR without LF on line 3/)
})

test('a dot as the first line ends an empty message', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  assert.equal(codes(await client.talk('.')), '250 2.0.0')
  assert.equal(server.recorder.contents[0]?.text, '')
})

test('CR CR LF . CR LF ends DATA and is refused', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  client.send('body\r\r\n.\r\n')
  assert.equal(codes(await client.reply()), '550 5.6.0')
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
})

test('the true end is found when it is split over reads at every byte', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  const bytes = Buffer.from('..a\r\n.\r\n')
  for (let at = 1; at < bytes.length; at++) {
    await client.talk('MAIL FROM:<a@sender.test>')
    await client.talk('RCPT TO:<b@rcpt.test>')
    await client.talk('DATA')
    await client.sendInPieces([bytes.subarray(0, at), bytes.subarray(at)])
    assert.equal(codes(await client.reply()), '250 2.0.0', `split at ${at}`)
    assert.equal(server.recorder.contents.at(-1)?.text, '.a\r\n')
  }
})

for (const [name, bytes] of falseEnds) {
  test(`${name} is refused when it is split over reads at every byte`, async () => {
    await using server = await TestServer.start()
    const client = await server.greeted()
    const content = Buffer.from(`x${bytes}y\r\n.\r\n`)
    for (let at = 1; at < content.length; at++) {
      await client.talk('MAIL FROM:<a@sender.test>')
      await client.talk('RCPT TO:<b@rcpt.test>')
      await client.talk('DATA')
      await client.sendInPieces([content.subarray(0, at), content.subarray(at)])
      assert.equal(codes(await client.reply()), '550 5.6.0', `split at ${at}`)
      // A good transaction keeps the error count low.
      await client.talk('MAIL FROM:<a@sender.test>')
      await client.talk('RCPT TO:<b@rcpt.test>')
      await client.talk('DATA')
      assert.equal(codes(await client.talk('.')), '250 2.0.0')
    }
    assert.ok(server.recorder.contents.every(content => content.text === ''))
  })
}

test('the true end is found behind a 64 KiB edge', async () => {
  await using server = await TestServer.start()
  for (const padding of [65_529, 65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 65_536]) {
    const client = await server.inTransaction()
    await client.talk('DATA')
    const line = `${'x'.repeat(78)}\r\n`
    const content = `${line.repeat(Math.floor(padding / 80))}${'y'.repeat(padding % 80)}\r\n`
    client.send(`${content}.\r\n`)
    assert.equal(codes(await client.reply()), '250 2.0.0')
    assert.equal(server.recorder.contents.at(-1)?.text, content)
    client.destroy()
  }
})

test('with mending a bare LF becomes CRLF, and a dot behind it ends nothing', async () => {
  await using server = await TestServer.start()
  server.recorder.bareLf = 'mend'
  const client = await server.inTransaction()
  await client.talk('DATA')
  client.send(`one\ntwo\n.\n.\r\nthree\r\n.\nfour\n${smuggled}.\r\n`)
  assert.equal(codes(await client.reply()), '250 2.0.0')
  const { text, facts } = server.recorder.contents[0]!
  assert.equal(text, `one\r\ntwo\r\n.\r\n.\r\nthree\r\n\r\nfour\r\n${smuggled}`)
  assert.equal(facts.sizeBytes, text.length)
  assert.ok(!server.recorder.calls.some(call => call.includes('evil')))
})

test('mending helps neither a bare CR nor a NUL', async () => {
  await using server = await TestServer.start()
  server.recorder.bareLf = 'mend'
  for (const bytes of ['a\rb', 'a\0b', '\r\n.\rb']) {
    const client = await server.inTransaction()
    await client.talk('DATA')
    client.send(`${bytes}\r\n.\r\n`)
    assert.equal(codes(await client.reply()), '550 5.6.0')
  }
})

test('CRLF . CRLF inside a BDAT chunk is content', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  const content = 'a\r\n.\r\n..b\r\n'
  client.send(`BDAT ${content.length} LAST\r\n${content}`)
  assert.equal(codes(await client.reply()), '250 2.0.0')
  assert.equal(server.recorder.contents[0]?.text, content)
})

// Properties of a whole session: how bytes are cut into reads does not matter, and nothing a client sends makes the
// engine throw, hang or answer out of form.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TestServer } from './test-kit.ts'

const dialogue = Buffer.from(
  [
    'EHLO client.test\r\n',
    'MAIL FROM:<a@sender.test> SIZE=10\r\nRCPT TO:<b@rcpt.test>\r\nRCPT TO:<bad@rcpt.test>\r\nDATA\r\n',
    'Subject: x\r\n\r\n..dot\r\n.\r\n',
    'MAIL FROM:<>\r\nRCPT TO:<"q r"@rcpt.test> NOTIFY=NEVER\r\nBDAT 9\r\nab\r\n.\r\ncdBDAT 2 LAST\r\n\r\n',
    'FOO\r\nNOOP \0\r\nBDAT 5\r\nQUIT\nMAIL FROM:<x@sender.test>\r\nRCPT TO:<y@rcpt.test>\r\nDATA\r\n',
    'bare\nlf\r\n.\n.\r\n.\r\n',
    'RSET\r\nQUIT\r\n',
  ].join(''),
)

async function transcript(server: TestServer, pieces: readonly Buffer[]): Promise<string[]> {
  const client = await server.connect()
  await client.sendInPieces(pieces)
  return (await client.untilClosed()).replies
}

test('any split of a dialogue into reads gives the same replies and the same messages', async () => {
  await using server = await TestServer.start({ trustsClient: () => true })
  const { recorder } = server
  const whole = await transcript(server, [dialogue])
  assert.equal(whole.length, 19)
  const messages = recorder.contents.map(content => content.text)
  assert.deepEqual(messages, ['Subject: x\r\n\r\n.dot\r\n', 'ab\r\n.\r\ncd\r\n'])
  const bytewise = Array.from(dialogue, (_, i) => dialogue.subarray(i, i + 1))
  assert.deepEqual(await transcript(server, bytewise), withIds(whole, 2))
  const cuts = fc.array(fc.integer({ min: 1, max: dialogue.length - 1 }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(cuts, fc.boolean(), async (unsorted, isSlow) => {
      const edges = [0, ...unsorted.toSorted((a, b) => a - b), dialogue.length]
      const pieces = edges.slice(1).map((end, i) => dialogue.subarray(edges[i], end))
      recorder.isSlow = isSlow
      const before = recorder.contents.length
      assert.deepEqual(await transcript(server, pieces), withIds(whole, before))
      assert.deepEqual(
        recorder.contents.slice(before).map(content => content.text),
        messages,
      )
    }),
    { numRuns: 150 },
  )
  assert.deepEqual(recorder.faults, [])
})

/** The recorder numbers messages over all sessions. */
function withIds(replies: readonly string[], before: number): string[] {
  return replies.map(reply => reply.replace(/msg_(\d+)/, (_, id: string) => `msg_${Number(id) + before}`))
}

const words = [
  'EHLO',
  'HELO',
  'MAIL',
  'RCPT',
  'DATA',
  'BDAT',
  'RSET',
  'NOOP',
  'VRFY',
  'HELP',
  'STARTTLS',
  'AUTH',
  'EXPN',
  'FOO',
  'FROM:',
  'TO:',
  '<a@b.test>',
  '<>',
  '<',
  '>',
  '"',
  '\\',
  '@',
  'x.test',
  'SIZE=1',
  'BODY=8BITMIME',
  'SMTPUTF8',
  'ORCPT=rfc822;x',
  'ENVID=+0D',
  'PLAIN',
  '=',
  '0',
  '3',
  'LAST',
  ' ',
  '  ',
  ':',
  'ü',
  '\u2028',
  '\0',
  '\t',
  '\r',
  '\x7f',
]
const fuzzLine = fc.oneof(
  fc.array(fc.constantFrom(...words), { maxLength: 6 }).map(parts => parts.join(' ')),
  fc.array(fc.constantFrom(...words), { maxLength: 8 }).map(parts => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 60 }).map(text => text.replaceAll('\n', '')),
)

test('two thousand strange commands each get one reply in form', async () => {
  await using server = await TestServer.start({
    trustsClient: () => true,
    limits: { errorsMax: 1e9, junkCommandsMax: 1e9 },
  })
  const lines = fc.sample(fuzzLine, { numRuns: 2000, seed: 42 })
  let client = await server.greeted()
  for (const line of lines) {
    client.send(`${line}\r\n`)
    let reply = await client.replyOrNull()
    if (reply?.startsWith('354') === true) {
      client.send('x\r\n.\r\n')
      reply = await client.replyOrNull()
    } else if (reply === null || client.socket.readableEnded) {
      client = await server.greeted()
    }
    if (reply === null) continue
    const isHello = /^\s*(?:EHLO|HELO)/i.test(line)
    for (const part of reply.split('\r\n')) {
      const [, code = '', enhanced = ''] = /^([245]\d\d)[ -]([245]\.\d{1,3}\.\d{1,3}) /.exec(part) ?? []
      if (!(isHello && part.startsWith('250')))
        assert.ok(enhanced !== '' && code[0] === enhanced[0], `${JSON.stringify(line)} → ${part}`)
    }
    // BDAT waits for its octets, and QUIT or a broken BDAT closes: a fresh session after either.
    if (/BDAT|QUIT/i.test(line)) {
      client.destroy()
      client = await server.greeted()
    }
  }
  assert.deepEqual(server.recorder.faults, [])
})

test('random bytes never make the engine throw or hang', async () => {
  await using server = await TestServer.start()
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 500 }),
      fc.boolean(),
      async (bytes, isInData) => {
        const client = isInData ? await server.inTransaction() : await server.connect()
        if (isInData) await client.talk('DATA')
        client.socket.end(Buffer.from(bytes))
        await client.untilClosed()
      },
    ),
    { numRuns: 200 },
  )
  assert.deepEqual(server.recorder.faults, [])
  const healthy = await server.inTransaction()
  assert.match(await healthy.talk('DATA'), /^354/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLabClock, startLab } from './index.ts'
import { codes, deliver, inTransaction, mx1, session } from './test-kit.ts'

test('what arrives is kept exactly as it was sent, with envelope, client and TLS', async () => {
  const clock = createLabClock(1_900_000_000_000)
  await using lab = await startLab({ clock })
  const tls = { mode: 'required', servername: 'mx1.lab.test', verify: true, ca: lab.authorityPem } as const
  const client = await session(lab, mx1, { tls })
  const content = Buffer.from('Subject: ünï\r\n\r\n.dot\r\n..two\r\n\xff\r\n', 'latin1')
  const result = await client.transact({
    reversePath: 'from@a.test',
    recipients: [
      {
        forwardPath: 'one@b.test',
        notify: ['SUCCESS'],
        originalRecipient: { type: 'rfc822', address: 'o@b.test' },
      },
      { forwardPath: 'two@b.test' },
    ],
    parameters: { isEightBit: true, isSmtpUtf8: false, ret: 'HDRS', envelopeId: 'e1' },
    content: { parts: [content] },
  })
  assert.deepEqual(
    result.recipients.map(one => one.isAccepted),
    [true, true],
  )
  await client.quit()
  const [entry] = lab.inbox.list()
  assert.deepEqual(entry?.content, content)
  assert.equal(entry?.receivedAtMs, 1_900_000_000_000)
  assert.equal(entry?.reversePath, 'from@a.test')
  assert.equal(entry?.mailParameters.body, '8bitmime')
  assert.equal(entry?.mailParameters.envelopeId, 'e1')
  assert.deepEqual(entry?.recipients, [
    {
      forwardPath: 'one@b.test',
      parameters: { notify: ['SUCCESS'], originalRecipient: { type: 'rfc822', address: 'o@b.test' } },
    },
    { forwardPath: 'two@b.test', parameters: {} },
  ])
  assert.equal(entry?.tls?.protocol, 'TLSv1.3')
  assert.equal(entry?.client.helloName, 'client.test')
  assert.deepEqual(lab.counters().get('mx1.lab.test'), {
    connections: 1,
    messages: 1,
    recipients: 2,
    bytes: content.length,
  })
})

test('defer-N fails N times a message and then accepts, and begins anew with the next', async () => {
  await using lab = await startLab()
  const codesOf = async (address: string, count: number): Promise<string[]> => {
    const found: string[] = []
    for (let i = 0; i < count; i++) found.push((await deliver(lab, address)).at(-1) ?? '')
    return found
  }
  assert.deepEqual(await codesOf('defer-2@x.test', 6), ['451', '451', '250', '451', '451', '250'])
  assert.deepEqual(await codesOf('defer+1@x.test', 2), ['451', '250'])
  assert.deepEqual(await codesOf('defer-1+other@x.test', 2), ['451', '250'])
  assert.deepEqual(await codesOf('defer-1@y.test', 2), ['451', '250'])
  assert.deepEqual(await codesOf('defer@x.test', 3), ['451', '451', '451'])
})

test('messages with different ENVID or SIZE are counted apart', async () => {
  await using lab = await startLab()
  const rcpt = async (parameters: string): Promise<string> => {
    const client = await inTransaction(lab, { mail: `MAIL FROM:<a@sender.test> ${parameters}` })
    const reply = await client.talk('RCPT TO:<defer-1@x.test>')
    client.destroy()
    return reply.slice(0, 3)
  }
  assert.equal(await rcpt('ENVID=one'), '451')
  assert.equal(await rcpt('ENVID=two SIZE=10'), '451')
  assert.equal(await rcpt('SIZE=10'), '451')
  assert.equal(await rcpt('ENVID=one SIZE=99'), '250')
  assert.equal(await rcpt('SIZE=10'), '250')
})

test('refusals come at the stage, with the code and the text that the address names', async () => {
  await using lab = await startLab()
  const client = await inTransaction(lab)
  assert.equal(codes(await client.talk('RCPT TO:<bounce@x.test>')), '550 5.1.1')
  assert.equal(await client.talk('RCPT TO:<bounce-550-5.7.1+No_thanks@x.test>'), '550 5.7.1 No thanks')
  assert.equal(codes(await client.talk('RCPT TO:<full@x.test>')), '452 4.2.2')
  assert.equal(codes(await client.talk('RCPT TO:<over-quota@x.test>')), '552 5.2.2')
  const large = await client.talk('RCPT TO:<large-replies@x.test>')
  assert.equal(large.split('\r\n').length, 500)
  assert.equal(codes(await client.talk('RCPT TO:<ok@x.test>')), '250 2.1.5')
  client.destroy()
  assert.deepEqual(await deliver(lab, 'data-451@x.test'), ['250', '451'])
  assert.deepEqual(await deliver(lab, 'spam@x.test'), ['250', '354', '554'])
  assert.deepEqual(await deliver(lab, 'content-452@x.test'), ['250', '354', '452'])
  assert.equal(lab.inbox.received, 0)
})

test('the sender’s word refuses MAIL', async () => {
  await using lab = await startLab()
  const client = await inTransaction(lab)
  await client.talk('RSET')
  assert.equal(codes(await client.talk('MAIL FROM:<mail-451-4.7.1@a.test>')), '451 4.7.1')
  assert.equal(codes(await client.talk('MAIL FROM:<a@a.test>')), '250 2.1.0')
  client.destroy()
})

test('a drop cuts the connection at its stage, so often as asked, and only the last two keep the message', async () => {
  await using lab = await startLab()
  const runs: Record<string, string[]> = {
    'drop-rcpt-1': ['cut'],
    'drop-data-1': ['250', 'cut'],
    'drop-body-1': ['250', '354', 'cut'],
    'drop-eom-before-reply-1': ['250', '354', 'cut'],
    'drop-eom-after-accept-1': ['250', '354', 'cut'],
    'drop-after-reply-1': ['250', '354', '250'],
  }
  for (const [local, expected] of Object.entries(runs)) {
    lab.inbox.clear()
    assert.deepEqual(await deliver(lab, `${local}@x.test`), expected, local)
    const isKept = local.includes('after')
    assert.equal(lab.inbox.list().length, isKept ? 1 : 0, local)
    assert.deepEqual(await deliver(lab, `${local}@x.test`), ['250', '354', '250'], local)
    assert.equal(lab.inbox.list().length, isKept ? 2 : 1, local)
  }
})

test('a greylisted address is accepted a minute of the lab’s clock after the first try, not sooner', async () => {
  const clock = createLabClock()
  await using lab = await startLab({ clock })
  assert.deepEqual(await deliver(lab, 'greylist@x.test'), ['451'])
  await clock.advance(59_999)
  assert.deepEqual(await deliver(lab, 'greylist@x.test'), ['451'])
  await clock.advance(1)
  assert.deepEqual(await deliver(lab, 'greylist@x.test'), ['250', '354', '250'])
})

test('a slow address is answered when the lab’s clock has moved on', async () => {
  const clock = createLabClock()
  await using lab = await startLab({ clock })
  const client = await inTransaction(lab)
  client.send('RCPT TO:<slow-90@x.test>\r\nNOOP\r\n')
  while (clock.sleepers === 0) await new Promise(resolve => setImmediate(resolve))
  await clock.advance(89_999)
  assert.equal(clock.sleepers, 1)
  await clock.advance(1)
  assert.equal(codes(await client.reply()), '250 2.1.5')
  assert.equal(codes(await client.reply()), '250 2.0.0')
  client.destroy()
})

test('a tarpitted reply comes whole, a byte at a time in the clear', async () => {
  await using lab = await startLab()
  await lab.setBehaviour(mx1, { tls: 'none', bytePauseMs: 1 })
  const client = await inTransaction(lab)
  let reads = 0
  client.socket.on('data', () => reads++)
  const reply = await client.talk('RCPT TO:<a@x.test>')
  assert.equal(reply, '250 2.1.5 Recipient OK')
  assert.ok(reads > 1, `${reads} reads`)
  client.send('QUIT\r\n')
  assert.deepEqual(await client.untilClosed(), { replies: ['221 2.0.0 Goodbye'], rest: '' })
})

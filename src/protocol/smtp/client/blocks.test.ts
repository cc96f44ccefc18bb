// Long contents: sent block by block with back-pressure, and never ended when something is wrong with them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualTicker, startPeer } from './testing/scripted-peer.ts'
import { afterDeadline, inStage, message, session, summary, welcome } from './testing/sessions.ts'

const LINE = Buffer.from(`.${'x'.repeat(75)}\r\n`)
const LONG = Buffer.concat(Array.from({ length: 20_000 }, () => LINE))

async function* pieces(content: Buffer, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += bytes) yield content.subarray(at, at + bytes)
}

function unstuffed(wire: Buffer): string {
  return wire.toString('latin1').slice(0, -3).replaceAll('\r\n.', '\r\n').replace(/^\./, '')
}

test('a long content arrives whole by DATA, from parts and from a stream cut anywhere', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (;;) {
      for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
      peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
      assert.ok(unstuffed(await peer.data()) === LONG.toString('latin1'))
      peer.send('250 ok\r\n')
    }
  })
  const smtp = await session(peer.port)
  let ends = 0
  const beforeEnd = () => {
    ends++
  }
  const contents = [
    { parts: [LONG.subarray(0, 77), LONG.subarray(77)] },
    { stream: pieces(LONG, 4_001), sizeBytes: LONG.length },
    { stream: pieces(LONG, 300_001), sizeBytes: LONG.length },
  ]
  const results = await Promise.all(
    contents.map(content => smtp.transact(message(undefined, { content, beforeEnd }))),
  )
  assert.deepEqual(results.map(summary), [['eom 250 accepted'], ['eom 250 accepted'], ['eom 250 accepted']])
  assert.equal(ends, 3)
  smtp.destroy()
})

test('a long content is one BDAT chunk after a recipient was accepted, and none when nobody was', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'CHUNKING'])
    for (const command of [/^MAIL/, /^RCPT/]) await peer.line(command)
    assert.equal(peer.pending, '')
    peer.send('250 ok\r\n550 no\r\n')
    for (const command of ['RSET', /^MAIL/, /^RCPT/]) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n250 ok\r\n')
    await peer.line(`BDAT ${LONG.length} LAST`)
    assert.ok((await peer.octets(LONG.length)).equals(LONG))
    peer.send('250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  assert.deepEqual(summary(await smtp.transact(message(undefined, { content: { parts: [LONG] } }))), [
    'rcpt 550',
  ])
  const content = { stream: pieces(LONG, 50_000), sizeBytes: LONG.length }
  assert.deepEqual(summary(await smtp.transact(message(undefined, { content }))), ['eom 250 accepted'])
  smtp.destroy()
})

test('a stream without a CRLF at its end gets one before the final dot', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    assert.equal((await peer.data()).toString(), '..a\r\nb\r\n.\r\n')
    peer.send('250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const content = { stream: pieces(Buffer.from('.a\r\nb'), 1), sizeBytes: 5 }
  assert.deepEqual(summary(await smtp.transact(message(undefined, { content }))), ['eom 250 accepted'])
  smtp.destroy()
})

async function* failing(): AsyncGenerator<Buffer> {
  yield LINE
  throw new Error('the segment file is gone')
}

test('a stream that is bad, too short, too long or fails is cut before its end of data', async () => {
  const streams: [() => AsyncIterable<Buffer>, number, string][] = [
    [() => pieces(Buffer.from('a\r\nb\nc\r\n'), 3), 8, 'UNSAFE_CONTENT'],
    [() => pieces(Buffer.from('a\r\nb\r'), 3), 5, 'UNSAFE_CONTENT'],
    [() => pieces(LINE, 10), LINE.length + 1, 'CONTENT_LENGTH'],
    [() => pieces(LINE, 10), LINE.length - 1, 'CONTENT_LENGTH'],
    [() => pieces(LINE, 10), 70, 'CONTENT_LENGTH'],
    [failing, 1_000, 'CONTENT_UNREADABLE'],
  ]
  for (const isChunked of [false, true]) {
    for (const [stream, sizeBytes, code] of streams) {
      await using peer = await startPeer(async peer => {
        await welcome(peer, isChunked ? ['PIPELINING', 'CHUNKING'] : ['PIPELINING'])
        for (const command of [/^MAIL/, /^RCPT/]) await peer.line(command)
        if (!isChunked) await peer.line('DATA')
        peer.send(`250 ok\r\n250 ok\r\n${isChunked ? '' : '354 go\r\n'}`)
        if (isChunked) await peer.line(`BDAT ${sizeBytes} LAST`)
        await peer.closed()
        assert.ok(isChunked ? peer.pending.length < sizeBytes : !peer.pending.endsWith('\r\n.\r\n'))
      })
      const smtp = await session(peer.port)
      const result = await smtp.transact(message(undefined, { content: { stream: stream(), sizeBytes } }))
      assert.equal(result.failure?.code, code)
      assert.deepEqual(summary(result), ['content none'])
      assert.equal(result.isEndOfDataSent, false)
    }
  }
})

test('a refusal while the content is being sent is the result, and the content is not ended', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.octets(10)
    peer.send('552 5.3.4 too big\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) yield LONG
  }
  const content = { stream: endless(), sizeBytes: Number.MAX_SAFE_INTEGER }
  const result = await smtp.transact(message(undefined, { content }))
  assert.deepEqual(summary(result), ['content 552'])
  assert.equal(result.isEndOfDataSent, false)
  assert.equal(smtp.end?.code, 'REFUSED_WHILE_SENDING')
})

test('after the final dot of a long content the reply has its own time, not that of a block', async () => {
  const arrived = Promise.withResolvers<void>()
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    arrived.resolve()
    await peer.closed()
  })
  const ticker = new ManualTicker()
  const smtp = await session(peer.port, { ticker, timeouts: { blockMs: 60_000, eomMs: 600_000 } })
  const pending = smtp.transact(message(undefined, { content: { parts: [LONG] } }))
  await inStage(smtp, 'eom')
  await arrived.promise
  for (let seconds = 0; seconds < 300; seconds += 20) {
    await new Promise(resolve => setImmediate(resolve))
    ticker.advance(20_000)
  }
  assert.equal(smtp.end, null)
  const result = await afterDeadline(ticker, pending)
  assert.equal(result.failure?.code, 'TIMEOUT_EOM')
  assert.deepEqual(summary(result), ['eom none uncertain'])
})

test('a peer that stops reading is given up at the block deadline, with little of the content in memory', async () => {
  const stopped = Promise.withResolvers<void>()
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.socket.pause()
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    stopped.resolve()
    await peer.closed()
  })
  const ticker = new ManualTicker()
  const smtp = await session(peer.port, { ticker })
  let taken = 0
  async function* counted(): AsyncGenerator<Buffer> {
    for (; taken < 1_000; taken++) yield LONG
  }
  const content = { stream: counted(), sizeBytes: LONG.length * 1_000 }
  const pending = smtp.transact(message(undefined, { content }))
  await stopped.promise
  const result = await afterDeadline(ticker, pending)
  assert.equal(result.failure?.code, 'TIMEOUT_CONTENT')
  assert.ok(taken < 100, `${taken} pieces of 1.5 MB were taken from the stream`)
  assert.equal(result.isEndOfDataSent, false)
})

test('a peer that reads a little now and then makes progress, and is given up when the transaction has taken an hour', async () => {
  const ticker = new ManualTicker()
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    const { socket } = peer
    socket.removeAllListeners('data').pause()
    while (!socket.destroyed) {
      // As much as blocks need to get on their way again.
      for (let taken = 0; taken < 2_000_000 && !socket.destroyed; taken += socket.read()?.length ?? 0)
        await new Promise(resolve => setImmediate(resolve))
      for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
      ticker.advance(100_000)
    }
  })
  const smtp = await session(peer.port, { ticker })
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) yield LONG
  }
  const content = { stream: endless(), sizeBytes: Number.MAX_SAFE_INTEGER }
  const result = await smtp.transact(message(undefined, { content }))
  assert.equal(result.failure?.code, 'TIMEOUT_TRANSACTION')
  assert.equal(ticker.size, 0)
})

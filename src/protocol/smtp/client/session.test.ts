// Transactions against scripted peers on real sockets: what is written when, and what each recipient gets.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startPeer } from './testing/scripted-peer.ts'
import { message, session, summary, text, welcome } from './testing/sessions.ts'

const STUFFED = 'Subject: hi\r\n\r\n..dot\r\n.\r\n'
const PLAIN = 'Subject: hi\r\n\r\n.dot\r\n'

test('with PIPELINING, MAIL, every RCPT and DATA arrive before any reply', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'SIZE 1000'])
    await peer.line('MAIL FROM:<from@a.test> SIZE=21')
    await peer.line('RCPT TO:<a@b.test>')
    await peer.line('RCPT TO:<c@d.test>')
    await peer.line('DATA')
    assert.equal(peer.pending, '')
    peer.send('250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n354 go\r\n')
    assert.equal((await peer.data()).toString(), STUFFED)
    peer.send('250 2.0.0 queued as 1\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message(['a@b.test', 'c@d.test']))
  assert.deepEqual(summary(result), ['eom 250 accepted', 'eom 250 accepted'])
  assert.equal(text(result.recipients[0]?.reply), '250 2.0.0 queued as 1')
  assert.deepEqual([result.isEndOfDataSent, result.failure], [true, null])
  assert.ok(smtp.isUsable && smtp.isIdle)
  smtp.destroy()
})

test('without PIPELINING each command waits for the reply to the one before', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    for (const command of ['MAIL FROM:<from@a.test>', 'RCPT TO:<a@b.test>', 'RCPT TO:<c@d.test>']) {
      await peer.line(command)
      await new Promise(resolve => setImmediate(resolve))
      assert.equal(peer.pending, '')
      peer.send('250 ok\r\n')
    }
    await peer.line('DATA')
    peer.send('354 go\r\n')
    assert.equal((await peer.data()).toString(), STUFFED)
    peer.send('250 ok\r\n')
    await peer.line('QUIT')
    peer.send('221 bye\r\n')
  })
  const smtp = await session(peer.port)
  assert.deepEqual(summary(await smtp.transact(message(['a@b.test', 'c@d.test']))), [
    'eom 250 accepted',
    'eom 250 accepted',
  ])
  await smtp.quit()
  assert.equal(smtp.end?.kind, 'finished')
})

test('small content goes by BDAT in one write with its envelope, as it is', async () => {
  let ends = 0
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'CHUNKING'])
    await peer.line('MAIL FROM:<from@a.test>')
    await peer.line('RCPT TO:<to@b.test>')
    await peer.line(`BDAT ${PLAIN.length} LAST`)
    assert.equal((await peer.octets(PLAIN.length)).toString(), PLAIN)
    assert.equal(ends, 1)
    peer.send('250 ok\r\n250 ok\r\n250 2.0.0 took it\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const beforeEnd = () => {
    ends++
  }
  assert.deepEqual(summary(await smtp.transact(message(undefined, { beforeEnd }))), ['eom 250 accepted'])
  assert.equal(ends, 1)
  smtp.destroy()
})

test('a cautious transaction sends no content before a recipient was accepted', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'CHUNKING'])
    await peer.line('MAIL FROM:<from@a.test>')
    await peer.line('RCPT TO:<a@b.test>')
    await new Promise(resolve => setImmediate(resolve))
    assert.equal(peer.pending, '')
    peer.send('250 ok\r\n250 ok\r\n')
    await peer.line(`BDAT ${PLAIN.length} LAST`)
    assert.equal((await peer.octets(PLAIN.length)).toString(), PLAIN)
    peer.send('250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact({ ...message(['a@b.test']), isCautious: true })
  assert.deepEqual(summary(result), ['eom 250 accepted'])
  smtp.destroy()
})

test('with CHUNKING but without PIPELINING, BDAT follows the last RCPT reply', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['CHUNKING'])
    await peer.line(/^MAIL/)
    peer.send('250 ok\r\n')
    await peer.line(/^RCPT/)
    peer.send('250 ok\r\n')
    await peer.line(`BDAT ${PLAIN.length} LAST`)
    assert.equal((await peer.octets(PLAIN.length)).toString(), PLAIN)
    peer.send('250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  assert.deepEqual(summary(await smtp.transact(message())), ['eom 250 accepted'])
  smtp.destroy()
})

test('of a hundred recipients each gets the reply that is its own', async () => {
  const reply = (index: number) =>
    [`250 2.1.5 ok`, `550 5.1.1 no ${index}`, `450 4.2.1 later ${index}`][index % 3]!
  for (const keywords of [['PIPELINING'], [], ['PIPELINING', 'CHUNKING']]) {
    await using peer = await startPeer(async peer => {
      await welcome(peer, keywords)
      const isGrouped = keywords.includes('PIPELINING')
      let replies = ''
      const answer = (line: string) => {
        replies += `${line}\r\n`
        if (!isGrouped) peer.send(`${line}\r\n`)
      }
      await peer.line(/^MAIL/)
      answer('250 ok')
      for (let index = 0; index < 100; index++) {
        await peer.line(`RCPT TO:<r${index}@b.test>`)
        answer(reply(index))
      }
      if (keywords.includes('CHUNKING')) {
        await peer.line(/^BDAT/)
        await peer.octets(PLAIN.length)
        peer.send(`${replies}250 ok\r\n`)
      } else {
        await peer.line('DATA')
        answer('354 go')
        if (isGrouped) peer.send(replies)
        await peer.data()
        peer.send('250 ok\r\n')
      }
      await peer.closed()
    })
    const smtp = await session(peer.port)
    const result = await smtp.transact(message(Array.from({ length: 100 }, (_, index) => `r${index}@b.test`)))
    result.recipients.forEach((recipient, index) => {
      assert.equal(recipient.isAccepted, index % 3 === 0, `recipient ${index} of ${keywords}`)
      assert.equal(recipient.stage, index % 3 === 0 ? 'eom' : 'rcpt')
      if (index % 3 !== 0) assert.match(text(recipient.reply), new RegExp(` (no|later) ${index}$`))
    })
    assert.ok(smtp.isUsable)
    smtp.destroy()
  }
})

test('a 354 after every recipient was refused is answered by a lone dot, and nobody is accepted', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n550 5.1.1 no such user\r\n354 go on\r\n')
    assert.equal((await peer.data()).toString(), '.\r\n')
    peer.send('250 2.0.0 queued an empty one\r\n')
    await peer.line(/^MAIL/)
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message())
  assert.deepEqual(summary(result), ['rcpt 550'])
  assert.deepEqual([result.isEndOfDataSent, result.failure], [false, null])
  void smtp.transact(message())
  smtp.destroy()
})

test('after every recipient was refused and DATA too, the next transaction begins with RSET', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n550 no\r\n503 5.5.1 no valid recipients\r\n')
    for (const command of ['RSET', /^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    peer.send('250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  assert.deepEqual(summary(await smtp.transact(message())), ['rcpt 550'])
  assert.deepEqual(summary(await smtp.transact(message())), ['eom 250 accepted'])
  smtp.destroy()
})

test('RSET waits for its reply where the peer has no PIPELINING, and reset sends none when none is needed', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    for (const command of [/^MAIL/, /^RCPT/]) {
      await peer.line(command)
      peer.send(command.source === '^MAIL' ? '250 ok\r\n' : '550 no\r\n')
    }
    await peer.line('RSET')
    assert.equal(peer.pending, '')
    peer.send('250 ok\r\n')
    await peer.line(/^MAIL/)
    peer.send('452 full\r\n')
    await peer.line('NOOP')
    peer.send('250 alive\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  assert.deepEqual(summary(await smtp.transact(message())), ['rcpt 550'])
  assert.deepEqual(summary(await smtp.transact(message())), ['mail 452'])
  assert.equal(await smtp.reset(), true)
  assert.equal(text(await smtp.noop()), '250  alive')
  smtp.destroy()
})

test('a peer that refuses RSET is not used again', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'CHUNKING'])
    for (const command of [/^MAIL/, /^RCPT/, /^BDAT/]) await peer.line(command)
    await peer.octets(PLAIN.length)
    peer.send('250 ok\r\n550 no\r\n503 no recipients\r\n')
    await peer.line('RSET')
    peer.send('500 what\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message())
  assert.deepEqual([summary(result), result.isEndOfDataSent], [['rcpt 550'], true])
  assert.equal(await smtp.reset(), false)
  assert.equal(smtp.end?.code, 'RSET_REFUSED')
})

test('a refusal of MAIL is the result of every recipient', async () => {
  for (const keywords of [[], ['PIPELINING'], ['PIPELINING', 'CHUNKING']]) {
    await using peer = await startPeer(async peer => {
      await welcome(peer, keywords)
      await peer.line(/^MAIL/)
      peer.send('550 5.7.1 not you\r\n')
      if (keywords.length === 0) return peer.closed()
      await peer.line(/^RCPT/)
      await peer.line(/^RCPT/)
      await peer.line(/^(DATA|BDAT)/)
      peer.send('503 no mail\r\n503 no mail\r\n503 no recipients\r\n')
      await peer.closed()
    })
    const smtp = await session(peer.port)
    const result = await smtp.transact(message(['a@b.test', 'c@d.test']))
    assert.deepEqual(summary(result), ['mail 550', 'mail 550'])
    assert.ok(smtp.isUsable)
    smtp.destroy()
  }
})

test('a refusal of DATA goes to the recipients that were accepted', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n550 no\r\n451 4.3.0 not now\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  assert.deepEqual(summary(await smtp.transact(message(['a@b.test', 'c@d.test']))), ['data 451', 'rcpt 550'])
  smtp.destroy()
})

test('a refusal after the final dot is certain and leaves the connection usable', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    peer.send('554-5.7.1 spam\r\n554 5.7.1 see https://x.test\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message())
  assert.deepEqual(summary(result), ['eom 554'])
  assert.equal(text(result.recipients[0]?.reply), '554 5.7.1 spam|see https://x.test')
  assert.ok(smtp.isUsable)
  smtp.destroy()
})

test('the envelope of a waiting transaction leaves together with the final dot of the one before', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of ['MAIL FROM:<1@a.test>', /^RCPT/, 'DATA']) await peer.line(command)
    assert.equal(peer.pending, '')
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    for (const command of ['MAIL FROM:<2@a.test>', /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('550 not the first\r\n250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    for (const command of ['MAIL FROM:<3@a.test>', /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 the second\r\n250 ok\r\n550 no\r\n503 no\r\n')
    await peer.line('RSET')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const results = await Promise.all(
    ['1', '2', '3'].map(local => smtp.transact(message(undefined, { reversePath: `${local}@a.test` }))),
  )
  assert.deepEqual(results.map(summary), [['eom 550'], ['eom 250 accepted'], ['rcpt 550']])
  void smtp.transact(message())
  assert.equal(smtp.transactionCount, 4)
  smtp.destroy()
})

test('where transactions are not to be grouped, each one waits for the answer to the content before; its own commands are one group', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const from of ['1', '2']) {
      await peer.line(`MAIL FROM:<${from}@a.test>`)
      for (const command of [/^RCPT/, 'DATA']) await peer.line(command)
      peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
      await peer.data()
      await new Promise(resolve => setTimeout(resolve, 20))
      assert.equal(peer.pending, '')
      peer.send('250 done\r\n')
    }
    await peer.closed()
  })
  const smtp = await session(peer.port, { limits: { groupsTransactions: false } })
  const results = await Promise.all(
    ['1', '2'].map(local => smtp.transact(message(undefined, { reversePath: `${local}@a.test` }))),
  )
  assert.deepEqual(results.map(summary), [['eom 250 accepted'], ['eom 250 accepted']])
  smtp.destroy()
})

test('a BDAT transaction waits for the one before, since its recipients are not known', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'CHUNKING'])
    for (const from of ['1', '2']) {
      await peer.line(`MAIL FROM:<${from}@a.test>`)
      for (const command of [/^RCPT/, /^BDAT/]) await peer.line(command)
      await peer.octets(PLAIN.length)
      assert.equal(peer.pending, '')
      peer.send('250 ok\r\n250 ok\r\n250 done\r\n')
    }
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const results = await Promise.all(
    ['1', '2'].map(local => smtp.transact(message(undefined, { reversePath: `${local}@a.test` }))),
  )
  assert.deepEqual(results.map(summary), [['eom 250 accepted'], ['eom 250 accepted']])
  smtp.destroy()
})

test('more waiting transactions than allowed are turned away, not queued', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    await peer.closed()
  })
  const smtp = await session(peer.port, { limits: { waitingTransactionsMax: 1 } })
  const first = smtp.transact(message())
  const second = smtp.transact(message())
  assert.equal(smtp.isUsable, false)
  const third = await smtp.transact(message())
  assert.equal(third.failure?.kind, 'not-started')
  smtp.destroy()
  assert.deepEqual([(await first).failure?.kind, (await second).failure?.kind], ['finished', 'not-started'])
})

test('a transaction that is not wanted any more when its turn comes is not started, and the next one is', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const from of ['1', '3']) {
      await peer.line(`MAIL FROM:<${from}@a.test>`)
      for (const command of [/^RCPT/, 'DATA']) await peer.line(command)
      peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
      await peer.data()
      peer.send('250 done\r\n')
    }
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const results = await Promise.all(
    ['1', '2', '3'].map(local =>
      smtp.transact(message(undefined, { reversePath: `${local}@a.test`, mayStart: () => local !== '2' })),
    ),
  )
  assert.deepEqual(
    results.map(({ failure }) => failure?.code ?? 'ran'),
    ['ran', 'NOT_WANTED', 'ran'],
  )
  assert.equal(results[1]!.failure?.kind, 'not-started')
  assert.equal(smtp.isUsable, true)
  smtp.destroy()
})

test('what this client would not send is refused before a byte is written', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'SIZE 100'])
    assert.equal(await peer.line(), 'NOOP')
    peer.send('250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  const cases = {
    UNSAFE_PATH: message(['to@b.test>\r\nRCPT TO:<v@x.test']),
    UNSAFE_CONTENT: message(undefined, { content: { parts: [Buffer.from('a\r\n.\nb\r\n')] } }),
    SIZE_EXCEEDED: message(undefined, { content: { parts: [Buffer.alloc(101, 'a')] } }),
    PEER_LACKS_8BITMIME: message(undefined, { parameters: { isEightBit: true, isSmtpUtf8: false } }),
  }
  for (const [code, transaction] of Object.entries(cases)) {
    const result = await smtp.transact(transaction)
    assert.deepEqual([result.failure?.kind, result.failure?.code], ['refused', code])
    assert.deepEqual(summary(result), ['mail none'])
  }
  assert.ok(smtp.isUsable)
  assert.equal((await smtp.noop())?.code, 250)
  smtp.destroy()
})

test('a beforeEnd that throws holds the end of data back', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'CHUNKING'])
    await peer.closed()
    assert.equal(peer.pending, '')
  })
  const smtp = await session(peer.port)
  const beforeEnd = () => {
    throw new Error('disk full')
  }
  const result = await smtp.transact(message(undefined, { beforeEnd }))
  assert.deepEqual(summary(result), ['mail none'])
  assert.equal(result.failure?.code, 'BEFORE_END_FAILED')
  assert.equal(smtp.end?.code, 'BEFORE_END_FAILED')
})

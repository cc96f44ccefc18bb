// Peers that leave, fall silent, or speak out of turn: at every stage the right recipients get the right word, and
// "uncertain" is said exactly when the end of data was sent and no reply was read.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClientTimeouts } from './options.ts'
import { ManualTicker, type PeerConnection, startPeer } from './testing/scripted-peer.ts'
import { afterDeadline, inStage, message, session, summary, text, welcome } from './testing/sessions.ts'

type Offer = 'lockstep' | 'grouped' | 'single'
type Stage = 'mail' | 'rcpt' | 'data' | 'eom'

const offers: Record<Offer, string[]> = {
  lockstep: [],
  grouped: ['PIPELINING'],
  single: ['PIPELINING', 'CHUNKING'],
}
const CONTENT_BYTES = 21

/** Plays a transaction well up to `stage`, where the peer would have to answer next, and leaves the answer to the caller. */
async function playTo(peer: PeerConnection, offer: Offer, stage: Stage): Promise<void> {
  await welcome(peer, offers[offer])
  const stages: Stage[] = offer === 'single' ? ['mail', 'rcpt', 'eom'] : ['mail', 'rcpt', 'data', 'eom']
  const patterns = { mail: /^MAIL/, rcpt: /^RCPT/, data: /^DATA$/, eom: /^BDAT/ }
  const answers = { mail: '250 ok\r\n', rcpt: '250 ok\r\n', data: '354 go\r\n', eom: '' }
  if (offer !== 'lockstep') {
    for (const each of stages) if (each !== 'eom' || offer === 'single') await peer.line(patterns[each])
    if (offer === 'single') await peer.octets(CONTENT_BYTES)
  }
  for (const each of stages) {
    if (offer === 'lockstep' && each !== 'eom') await peer.line(patterns[each])
    if (each === 'eom' && offer !== 'single') await peer.data()
    if (each === stage) return
    peer.send(answers[each])
  }
}

const cases: [Offer, Stage][] = [
  ['lockstep', 'mail'],
  ['lockstep', 'rcpt'],
  ['lockstep', 'data'],
  ['lockstep', 'eom'],
  ['grouped', 'mail'],
  ['grouped', 'rcpt'],
  ['grouped', 'data'],
  ['grouped', 'eom'],
  ['single', 'mail'],
  ['single', 'rcpt'],
  ['single', 'eom'],
]
const isEndSent = (offer: Offer, stage: Stage) => offer === 'single' || stage === 'eom'

for (const [offer, stage] of cases) {
  test(`421 instead of the reply to ${stage} (${offer}) is the recipient's transient reply and ends the connection`, async () => {
    await using peer = await startPeer(async peer => {
      await playTo(peer, offer, stage)
      peer.send('421 4.3.2 going down\r\n')
      await peer.closed()
    })
    const smtp = await session(peer.port)
    const result = await smtp.transact(message())
    assert.deepEqual(summary(result), [`${stage} 421`])
    assert.equal(text(result.recipients[0]?.reply), '421 4.3.2 going down')
    assert.equal(result.failure?.kind, 'said-goodbye')
    assert.equal(smtp.end?.code, 'SAID_421')
    assert.equal(smtp.isUsable, false)
  })

  test(`a drop instead of the reply to ${stage} (${offer}) is ${isEndSent(offer, stage) ? 'uncertain' : 'certain'}`, async () => {
    await using peer = await startPeer(async peer => {
      await playTo(peer, offer, stage)
      peer.end()
    })
    const smtp = await session(peer.port)
    const result = await smtp.transact(message())
    const expected = isEndSent(offer, stage) ? `${stage} none uncertain` : `${stage} none`
    assert.deepEqual(summary(result), [expected])
    assert.equal(result.isEndOfDataSent, isEndSent(offer, stage))
    assert.equal(result.failure?.kind, 'closed')
    assert.equal(smtp.end?.kind, 'closed')
  })

  test(`silence instead of the reply to ${stage} (${offer}) ends at the deadline of that stage`, async () => {
    await using peer = await startPeer(async peer => {
      await playTo(peer, offer, stage)
      // Half a reply does not count as an answer.
      peer.send('25')
      await peer.closed()
    })
    const ticker = new ManualTicker()
    const smtp = await session(peer.port, { ticker })
    const pending = smtp.transact(message())
    await inStage(smtp, stage)
    const result = await afterDeadline(ticker, pending)
    assert.equal(result.failure?.code, `TIMEOUT_${stage.toUpperCase()}`)
    assert.equal(result.recipients[0]?.isUncertain, isEndSent(offer, stage))
    assert.equal(ticker.size, 0)
  })
}

test('a refusal a recipient already has stays when the connection drops after the end of data', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n')
    await peer.data()
    peer.end()
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message(['a@b.test', 'c@d.test']))
  assert.deepEqual(summary(result), ['eom none uncertain', 'rcpt 550'])
})

test('a drop ends the waiting transactions as not started, and the grouped one as certain', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    await peer.line(/^MAIL/)
    peer.end()
  })
  const smtp = await session(peer.port)
  const results = await Promise.all([1, 2, 3].map(() => smtp.transact(message())))
  assert.deepEqual(results.map(summary), [['eom none uncertain'], ['mail none'], ['mail none']])
  assert.deepEqual(
    results.map(result => result.failure?.kind),
    ['closed', 'closed', 'not-started'],
  )
})

test('each stage has its own time, and the time of the whole transaction is bounded too', async () => {
  const timeouts: Partial<ClientTimeouts> = { rcptMs: 60_000, transactionMs: 1_200_000 }
  const ticker = new ManualTicker()
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    await peer.line(/^MAIL/)
    peer.send('250 ok\r\n')
    for (;;) {
      await peer.line(/^RCPT/)
      ticker.advance(50_000)
      peer.send('250 ok\r\n')
    }
  })
  const smtp = await session(peer.port, { ticker, timeouts })
  const result = await smtp.transact(message(Array.from({ length: 100 }, (_, index) => `r${index}@b.test`)))
  assert.equal(result.failure?.code, 'TIMEOUT_TRANSACTION')
  assert.deepEqual(new Set(summary(result)), new Set(['rcpt none']))
})

test('bytes that trickle in do not extend the deadline', async () => {
  const ticker = new ManualTicker()
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    await peer.line(/^MAIL/)
    peer.send('250-')
    for (;;) {
      peer.send('x')
      ticker.advance(59_000)
      await new Promise(resolve => setImmediate(resolve))
      if (ticker.size === 0) return
    }
  })
  const smtp = await session(peer.port, { ticker })
  assert.equal((await smtp.transact(message())).failure?.code, 'TIMEOUT_MAIL')
})

test('an answer to content that was not sent yet ends the connection before the content is sent', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 queued already\r\n')
    await peer.closed()
    assert.equal(peer.pending, '')
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message())
  assert.deepEqual(summary(result), ['data none'])
  assert.equal(result.failure?.code, 'EARLY_REPLY')
  assert.equal(result.isEndOfDataSent, false)
})

test('what a peer says before the next command was written answers nothing: no recipient gets the reply of another', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    await peer.line(/^MAIL/)
    peer.send('250 ok\r\n')
    await peer.line('RCPT TO:<r1@b.test>')
    peer.send('550 5.1.1 no such user\r\n550 5.1.1 no such user\r\n')
    await peer.closed()
    assert.equal(peer.pending, '')
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message(['r1@b.test', 'r2@b.test']))
  assert.deepEqual(summary(result), ['rcpt 550', 'rcpt none'])
  assert.deepEqual([result.failure?.kind, result.failure?.code], ['protocol', 'EARLY_REPLY'])
  assert.equal(result.isEndOfDataSent, false)
})

test('two replies to MAIL or to the last RCPT end the connection before the next command', async () => {
  for (const stage of ['mail', 'rcpt'] as const) {
    await using peer = await startPeer(async peer => {
      await playTo(peer, 'lockstep', stage)
      peer.send('250 ok\r\n354 go\r\n')
      await peer.closed()
      assert.equal(peer.pending, '')
    })
    const smtp = await session(peer.port)
    const result = await smtp.transact(message())
    assert.deepEqual(
      [summary(result), result.failure?.code],
      [[stage === 'mail' ? 'rcpt none' : 'data none'], 'EARLY_REPLY'],
    )
  }
})

test('a 421 right behind another reply counts before the next command was written', async () => {
  await using peer = await startPeer(async peer => {
    await playTo(peer, 'lockstep', 'rcpt')
    peer.send('550 5.1.1 no such user\r\n421 4.7.0 too many errors\r\n')
    await peer.closed()
    assert.equal(peer.pending, '')
  })
  const smtp = await session(peer.port)
  const result = await smtp.transact(message(['r1@b.test', 'r2@b.test']))
  assert.deepEqual(summary(result), ['rcpt 550', 'rcpt 421'])
  assert.equal(smtp.end?.code, 'SAID_421')
})

for (const offer of ['lockstep', 'single'] as const) {
  test(`two replies to one end of data (${offer}) do not answer the message that waits behind`, async () => {
    for (const [second, code] of [
      ['550 more', 'EARLY_REPLY'],
      ['421 bye', 'SAID_421'],
    ]) {
      await using peer = await startPeer(async peer => {
        let before = ''
        if (offer === 'lockstep') await playTo(peer, offer, 'eom')
        else {
          await playTo(peer, offer, 'mail')
          before = '250 ok\r\n250 ok\r\n'
        }
        peer.send(`${before}550 spam\r\n${second}\r\n`)
        await peer.closed()
        assert.equal(peer.pending, '')
      })
      const smtp = await session(peer.port)
      const [first, waiting] = await Promise.all([smtp.transact(message()), smtp.transact(message())])
      assert.deepEqual([summary(first), first.failure], [['eom 550'], null])
      assert.deepEqual(summary(waiting), ['mail none'])
      assert.deepEqual([waiting.failure?.kind, waiting.failure?.code], ['not-started', code])
    }
  })
}

test('a refused RSET is no answer to the message behind it: certain before its end of data, uncertain after it', async () => {
  for (const offer of ['grouped', 'single'] as const) {
    await using peer = await startPeer(async peer => {
      await welcome(peer, offers[offer])
      for (let turn = 0; turn < 2; turn++) {
        if (turn === 1) await peer.line('RSET')
        for (const command of [/^MAIL/, /^RCPT/, /^(DATA|BDAT)/]) await peer.line(command)
        if (offer === 'single') await peer.octets(CONTENT_BYTES)
        peer.send(turn === 0 ? '250 ok\r\n550 no\r\n503 no recipients\r\n' : '500 what\r\n')
      }
      await peer.closed()
    })
    const smtp = await session(peer.port)
    assert.deepEqual(summary(await smtp.transact(message())), ['rcpt 550'])
    const result = await smtp.transact(message())
    assert.deepEqual(summary(result), [offer === 'single' ? 'mail none uncertain' : 'mail none'])
    assert.deepEqual([result.failure?.kind, result.failure?.code], ['protocol', 'RSET_REFUSED'])
    assert.equal(result.failure?.message, 'the peer refused RSET: 500 what')
  }
})

test('a reply that is no answer at its stage ends the connection', async () => {
  const wrong: [Stage, string][] = [
    ['mail', '354 go'],
    ['rcpt', '334 what'],
    ['data', '250 ok'],
    ['eom', '354 more'],
  ]
  for (const [stage, reply] of wrong) {
    await using peer = await startPeer(async peer => {
      await playTo(peer, 'lockstep', stage)
      peer.send(`${reply}\r\n`)
      await peer.closed()
    })
    const smtp = await session(peer.port)
    const result = await smtp.transact(message())
    assert.equal(result.failure?.code, 'UNEXPECTED_REPLY', reply)
    assert.deepEqual(summary(result), [stage === 'eom' ? 'eom none uncertain' : `${stage} none`])
  }
})

test('a reply that is not SMTP ends the transaction at the stage it came at', async () => {
  for (const [offer, stage] of cases) {
    await using peer = await startPeer(async peer => {
      await playTo(peer, offer, stage)
      peer.send(`250-${'x'.repeat(70_000)}`)
      await peer.closed()
    })
    const smtp = await session(peer.port)
    const result = await smtp.transact(message())
    assert.equal(result.failure?.code, 'MALFORMED_REPLY')
    assert.deepEqual(summary(result), [`${stage} none${isEndSent(offer, stage) ? ' uncertain' : ''}`])
  }
})

test('a connection that ends while idle says so once, with the reason', async () => {
  const goodbyes: [string, string][] = [
    ['', 'CLOSED'],
    ['421 4.4.2 idle too long\r\n', 'SAID_421'],
    ['250 hello?\r\n', 'EARLY_REPLY'],
    ['25', 'EARLY_REPLY'],
    ['garbage\r\n', 'MALFORMED_REPLY'],
  ]
  for (const [bytes, code] of goodbyes) {
    const speak = Promise.withResolvers<void>()
    await using peer = await startPeer(async peer => {
      await welcome(peer)
      await speak.promise
      if (bytes !== '') peer.send(bytes)
      peer.end()
    })
    const smtp = await session(peer.port)
    const ended = new Promise<string>(resolve => {
      smtp.onIdleEnd = end => resolve(end.code)
    })
    speak.resolve()
    assert.equal(await ended, code)
    assert.equal(smtp.isUsable, false)
    const result = await smtp.transact(message())
    assert.deepEqual([result.failure?.kind, result.failure?.code], ['not-started', code])
  }
})

test('a 421 right behind the last reply leaves the message accepted and the connection over', async () => {
  await using peer = await startPeer(async peer => {
    await playTo(peer, 'grouped', 'eom')
    peer.send('250 2.0.0 ok\r\n421 4.7.0 too many messages\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  assert.deepEqual(summary(await smtp.transact(message())), ['eom 250 accepted'])
  assert.equal(smtp.end?.code, 'SAID_421')
})

test('a session that is too old takes no new transaction and leaves when idle', async () => {
  const ticker = new ManualTicker()
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    await peer.line('QUIT')
  })
  const smtp = await session(peer.port, { ticker, timeouts: { sessionMs: 10_000 } })
  ticker.advance(9_000)
  assert.equal(smtp.isUsable, true)
  ticker.advance(3_000)
  assert.equal(smtp.isUsable, false)
  assert.equal(smtp.end?.code, 'SESSION_AGED')
})

test('quit waits shortly for an answer that does not come', async () => {
  const ticker = new ManualTicker()
  const asked = Promise.withResolvers<void>()
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    await peer.line('QUIT')
    asked.resolve()
    await peer.closed()
  })
  const smtp = await session(peer.port, { ticker })
  const quitting = smtp.quit()
  await asked.promise
  await afterDeadline(ticker, quitting)
  assert.equal(smtp.end?.code, 'TIMEOUT_QUIT')
  assert.equal(ticker.size, 0)
})

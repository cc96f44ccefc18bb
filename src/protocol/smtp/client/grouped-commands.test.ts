// Commands that left with the end of a content (RFC 2920 §3.1): who answers the content and not them, or answers their rest,
// has lost them, and they may go again for certain (docs/decisions/0033-hosts-that-lose-grouped-commands.md).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClientTimeouts } from './options.ts'
import { ManualTicker, startPeer } from './testing/scripted-peer.ts'
import { inStage, message, session, summary, welcome } from './testing/sessions.ts'
import { groupLost } from './transaction-run.ts'

/** Two transactions, the second one's commands behind the content of the first; the peer says no more than `answer` to them. */
async function standStill(answer: string, timeouts: Partial<ClientTimeouts> = {}) {
  const ticker = new ManualTicker()
  // Lives as long as the test: its end would end the connection.
  const peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send('250 ok\r\n250 ok\r\n354 go\r\n')
    await peer.data()
    for (const command of [/^MAIL/, /^RCPT/, 'DATA']) await peer.line(command)
    peer.send(`250 taken\r\n${answer}`)
    await peer.closed()
  })
  const smtp = await session(peer.port, { ticker, timeouts })
  const results = [smtp.transact(message()), smtp.transact(message()), smtp.transact(message())]
  assert.deepEqual(summary(await results[0]!), ['eom 250 accepted'])
  if (!answer.startsWith('5')) await inStage(smtp, answer === '' ? 'mail' : 'rcpt')
  return { ticker, smtp, results, [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose]() }
}

test('a peer that answers a content and not the MAIL that came with it has lost that: the connection ends soon, for certain', async () => {
  await using stand = await standStill('')
  const { ticker, smtp, results } = stand
  ticker.advance(15_000)
  assert.ok(smtp.isUsable)
  ticker.advance(1_000)
  assert.equal(smtp.end?.code, groupLost)
  const [, second, third] = await Promise.all(results)
  assert.deepEqual(summary(second!), ['mail none'])
  assert.equal(second!.failure?.kind, 'timeout')
  assert.equal(third!.failure?.kind, 'not-started')
})

test('so it is where a command has less time than that', async () => {
  await using stand = await standStill('', { mailMs: 10_000 })
  const { ticker, smtp } = stand
  ticker.advance(11_000)
  assert.equal(smtp.end?.code, groupLost)
})

for (const answer of [
  '500 5.5.1 Unknown command\r\n503 5.5.1 Sender not yet given\r\n421 4.5.0 Too many errors, bye\r\n',
  '503 5.5.1 Sender not yet given\r\n503 5.5.1 Sender not yet given\r\n',
  '502 5.5.1 what?\r\n',
])
  test(`${answer.slice(0, 3)} to the MAIL that came with the end of a content says that its beginning was lost, not that it is refused`, async () => {
    await using stand = await standStill(answer)
    const { smtp, results } = stand
    const [, second, third] = await Promise.all(results)
    assert.equal(smtp.end?.code, groupLost)
    assert.deepEqual(summary(second!), ['mail none'])
    assert.equal(third!.failure?.kind, 'not-started')
  })

test('one that has answered that MAIL has all its time for RCPT', async () => {
  await using stand = await standStill('250 ok\r\n')
  const { ticker, smtp } = stand
  ticker.advance(299_000)
  assert.ok(smtp.isUsable)
  ticker.advance(3_000)
  assert.equal(smtp.end?.code, 'TIMEOUT_RCPT')
})

test('MAIL that left alone has all its time too', async () => {
  const ticker = new ManualTicker()
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING'])
    await peer.line(/^MAIL/)
    await peer.closed()
  })
  const smtp = await session(peer.port, { ticker })
  void smtp.transact(message())
  await inStage(smtp, 'mail')
  ticker.advance(299_000)
  assert.ok(smtp.isUsable)
  ticker.advance(3_000)
  assert.equal(smtp.end?.code, 'TIMEOUT_MAIL')
})

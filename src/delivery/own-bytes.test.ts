// What a waiting message keeps alive: its own bytes, and not the memory that they came in.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bufferBytes } from '../../test/support/heap.ts'
import type { LeasedMessage } from '../queue/index.ts'
import type { SessionOpener } from './connection.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import { ownBytesTick } from './own-bytes.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const messages = 300
/** As large as the pool from which Node cuts small buffers. */
const sharedBytes = 64 * 1024
/** Of id, prefix and content of one message, with a good deal for what else there is. */
const ownBytes = 2 * 1024

const noHost: SessionOpener = () => new Promise(() => {})

/** A buffer of this text that keeps far more memory alive. */
function view(text: string): Buffer {
  const shared = Buffer.allocUnsafeSlow(sharedBytes)
  return shared.subarray(100, 100 + shared.write(text, 100))
}

function sendViews(harness: Harness, paths: readonly string[]): void {
  const id = view('0123456789abcdef')
  const parts = [view('Subject: hello\r\n'), view(`\r\n${'body\r\n'.repeat(60)}`)]
  harness.send(paths, { id, prefix: view('Received: from here\r\n'), parts })
}

/** What the messages hold after a tick of `afterMs`, each. */
function heldOfEach(harness: Harness, afterMs: number): number {
  const before = bufferBytes()
  for (let i = 0; i < messages; i++) sendViews(harness, [`to${i}@b.test`, `to${i}@c.test`])
  harness.advance(afterMs)
  return (bufferBytes() - before) / messages
}

test('what waits for a connection keeps its own bytes alive, once a message, and not the memory that they came in', async () => {
  const harness = new Harness(25, {}, { openSession: noHost })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.plans.set('c.test', planOf('c.test', ['mx.c.test', '127.0.0.2']))
  const held = heldOfEach(harness, 1_000)
  assert.ok(held < ownBytes, `${held} bytes a message`)
  assert.equal((await harness.engine.recall()).length, messages * 2)
})

test('so does what waits for a plan, for longer than a moment', async () => {
  const noAnswer = () => new Promise<never>(() => {})
  const planner = {
    cached: () => undefined,
    plan: noAnswer,
    cachedSmarthost: () => undefined,
    planSmarthost: noAnswer,
  }
  const harness = new Harness(25, {}, { planner })
  const held = heldOfEach(harness, 5_000)
  assert.ok(held < ownBytes, `${held} bytes a message`)
  assert.equal((await harness.engine.recall()).length, messages * 2)
})

test('what has waited is sent as it came', async () => {
  let letGo = () => {}
  const isBusy = new Promise<void>(resolve => (letGo = resolve))
  const onEnd = () => isBusy.then(() => '250 2.0.0 ok')
  await using mx = await startReceiver({ onEnd })
  const harness = new Harness(mx.port, { connectionsPerSite: 1, transactionsPerConnection: 1 })
  for (const domain of ['b.test', 'c.test'])
    harness.plans.set(domain, planOf(domain, [`mx.${domain}`, '127.0.0.1']))
  for (let i = 0; i < 5; i++) sendViews(harness, [`to${i}@b.test`, `to${i}@c.test`])
  harness.send(['stored@b.test'], { isStored: true })
  while (!mx.commands.some(line => line.startsWith('DATA')))
    await new Promise(resolve => setImmediate(resolve))
  harness.advance(1_000)
  harness.advance(1_000)
  letGo()
  await harness.settledCount(11)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered'))
  const contents = mx.messages
    .filter(({ recipients }) => !recipients.includes('stored@b.test'))
    .map(one => one.content)
  assert.equal(contents.length, 10)
  for (const content of contents)
    assert.equal(content, `Received: from here\r\nSubject: hello\r\n\r\n${'body\r\n'.repeat(60)}`)
  const ids = harness.settled.map(({ settlement }) => settlement.messageId.toString('latin1'))
  assert.equal(ids.filter(id => id === '0123456789abcdef').length, 10)
  await harness.close()
})

test('one tick copies a bounded number of bytes, and the next ones the rest', () => {
  const waiting = Array.from({ length: 30 }, () => {
    const content = [Buffer.alloc(1024 * 1024)]
    const message = { id: Buffer.alloc(16), prefix: Buffer.alloc(10) } as Partial<LeasedMessage>
    return { message, content, inHand: { contentBytes: 1024 * 1024, own: null } } as unknown as DeliveryBatch
  })
  const copied = () => waiting.filter(({ inHand }) => inHand.own !== null).length
  waiting.forEach(ownBytesTick())
  assert.equal(copied(), 8)
  for (let tick = 0; tick < 3; tick++) waiting.forEach(ownBytesTick())
  assert.equal(copied(), 30)
})

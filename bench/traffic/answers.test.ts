// What the sink knows of its answers, and which doubled mail that explains.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Answers, heardStates } from './answers.ts'
import { everydayFaults, type FaultShares } from './faults.ts'
import { TrafficSink } from './sink.ts'

const { none, heard, unheard, perhaps } = heardStates
const calm = Object.fromEntries(Object.keys(everydayFaults).map(name => [name, 0])) as unknown as FaultShares

test('a second arrival has a reason only when the 250 before was kept back, or handed over right before a cut', () => {
  const answers = new Answers(10)
  const told = answers.session()
  told.took([1], 1)
  told.handedOver()
  told.wereRead()
  told.took([2], 2)
  told.handedOver()
  told.took([3], 3)
  told.cut()
  assert.deepEqual([...answers.taken.subarray(0, 5)], [none, heard, perhaps, unheard, none])
  assert.equal(answers.tookUnheard, 1)
  const again = answers.session()
  again.took([1, 2, 3], 4)
  again.handedOver()
  const { twice, twiceHeard, twicePerhaps } = answers
  assert.deepEqual({ twice, twiceHeard, twicePerhaps }, { twice: 3, twiceHeard: 1, twicePerhaps: 1 })
  assert.equal(answers.arrivals[3], 3, 'the first arrival counts')
})

test('a refusal counts from the moment at which it was handed over, and may be lost in a cut right after', () => {
  const answers = new Answers(10)
  const one = answers.session()
  one.refuse(1)
  one.handedOver()
  one.wereRead()
  one.refuse(2)
  one.handedOver()
  one.refuse(3)
  one.cut()
  assert.deepEqual([...answers.refused.subarray(0, 4)], [none, heard, perhaps, none])
})

/** A sink with these faults that a client has sent each of the texts to, each after the replies to the one before. */
async function said(
  faults: Partial<FaultShares>,
  texts: readonly string[],
  waitMs = 30,
): Promise<TrafficSink> {
  const sink = new TrafficSink({ addresses: ['127.0.0.1'], tracked: 10 })
  const port = await sink.open()
  const socket: Socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  socket.resume()
  await delay(waitMs)
  for (const text of texts) {
    // What falls is what the last text meets.
    if (text === texts.at(-1)) sink.misbehave({ ...calm, ...faults }, 1)
    socket.write(text)
    await delay(waitMs)
  }
  await sink.shut()
  socket.destroy()
  return sink
}

const envelope = (number: number): string => `MAIL FROM:<>\r\nRCPT TO:<${number}@sink.test>\r\nDATA\r\n`
const content = 'Subject: one\r\n\r\ntext\r\n.\r\n'

test('the sink keeps a 250 back when it drops after the dot, at a grouped MAIL, or is shut while a reply waits', async () => {
  for (const [why, faults, last] of [
    ['after the dot', { dropAfterDot: 1 }, content],
    ['at a MAIL that came with the dot', { dropAtMail: 1 }, content + envelope(2)],
    ['shut before a late reply', { slow: 1, slowMs: 100_000 }, content],
  ] as const) {
    const { answers } = await said(faults, [envelope(1), last])
    assert.equal(answers.taken[1], unheard, why)
    assert.equal(answers.tookUnheard, 1, why)
  }
})

test('what a client has read is heard, whatever cuts its connection later', async () => {
  const { answers } = await said({ dropAtDot: 1 }, [envelope(1), content + envelope(2), content])
  assert.equal(answers.taken[1], heard)
  assert.equal(answers.taken[2], none)
  const shut = await said({}, [envelope(1), content])
  assert.equal(shut.answers.taken[1], perhaps, 'within a second')
})

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { dkimVerify } from 'mailauth'
import {
  BodyHasher,
  type DkimKey,
  dkimRecordName,
  dkimRecordText,
  signMessage,
  splitTxtRecord,
} from '../protocol/auth/dkim/index.ts'
import { scanHeaderBlock } from '../protocol/mail/index.ts'
import type { Resigner } from './port.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const plan = planOf('b.test', ['mx.b.test', '127.0.0.1'])
const plainPeer = { keywords: ['PIPELINING', 'SIZE'], isStrict: true } as const
const eightBit = [
  'From: A <a@example.test>',
  'Subject: x',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  '',
  'Grüße aus Köln, dot lines too:\r\n.hidden\r\n',
].join('\r\n')

const key: DkimKey = {
  domain: 'example.test',
  selector: 's',
  algorithm: 'ed25519-sha256',
  privateKey: generateKeyPairSync('ed25519').privateKey,
}

const resigner: Resigner = {
  resign: async (_, header, body) => {
    const scan = scanHeaderBlock(header)
    const hasher = new BodyHasher()
    for (const piece of body) hasher.push(piece)
    if (scan.kind !== 'scanned') return null
    const result = signMessage({
      headerFields: scan.block.fields,
      bodyHash: hasher.digest(),
      keys: [key],
      signedAtMs: 1_790_000_000_000,
    })
    return result.kind === 'signed' ? result.signatures : null
  },
}

test('a peer without 8BITMIME gets a 7-bit message with a valid new signature, made once for the message', async () => {
  let resigned = 0
  await using mx = await startReceiver(plainPeer)
  const counting: Resigner = {
    resign: (message, header, body) => {
      resigned++
      return resigner.resign(message, header, body)
    },
  }
  const harness = new Harness(mx.port, { recipientsPerTransaction: 1 }, { resigner: counting })
  harness.plans.set('b.test', plan)
  harness.send(['one@b.test', 'two@b.test'], { text: eightBit, isEightBit: true })
  await harness.settledCount(2)
  assert.equal(mx.messages.length, 2)
  assert.equal(resigned, 1)
  const received = mx.messages[0]!
  assert.ok(!received.mail.includes('BODY=8BITMIME'))
  assert.match(received.content, /^Content-Transfer-Encoding: quoted-printable\r$/m)
  assert.match(received.content, /Gr=C3=BC=C3=9Fe/)
  assert.ok([...received.content].every(character => character.charCodeAt(0) < 128))
  const record = splitTxtRecord(dkimRecordText(key))
  const resolver = async (name: string) => {
    if (name === dkimRecordName('s', 'example.test')) return [record]
    throw Object.assign(new Error('no record'), { code: 'ENOTFOUND' })
  }
  const verified = await dkimVerify(Buffer.from(received.content, 'latin1'), {
    resolver: resolver as never,
    curTime: new Date(1_790_000_001_000),
  } as never)
  assert.deepEqual(
    verified.results.map(result => result.status.result),
    ['pass'],
  )
  await harness.close()
})

test('8-bit content goes as it is where 8BITMIME is offered', async () => {
  await using mx = await startReceiver({ isStrict: true })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['one@b.test'], { text: eightBit, isEightBit: true })
  await harness.settledCount(1)
  assert.match(mx.messages[0]!.mail, /BODY=8BITMIME/)
  assert.equal(harness.resigned, 0)
  assert.ok(Buffer.from(mx.messages[0]!.content, 'latin1').toString('utf8').includes('Grüße'))
  await harness.close()
})

test('a message that cannot be signed again is deferred, not sent unsigned', async () => {
  await using mx = await startReceiver(plainPeer)
  const harness = new Harness(mx.port, {}, { resigner: { resign: async () => null } })
  harness.plans.set('b.test', plan)
  harness.send(['one@b.test'], { text: eightBit, isEightBit: true })
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual([outcome.kind, outcome.scope], ['deferred', 'configuration'])
  assert.equal(mx.messages.length, 0)
  await harness.close()
})

test('a message without its signature is signed at the attempt, and not sent without', async () => {
  await using mx = await startReceiver({ isStrict: true })
  let isAble = false
  const harness = new Harness(
    mx.port,
    {},
    { resigner: { resign: (...given) => (isAble ? resigner.resign(...given) : Promise.resolve(null)) } },
  )
  harness.plans.set('b.test', plan)
  const prefix = Buffer.alloc(0)
  harness.send(['one@b.test'], { text: eightBit, isEightBit: true, isUnsigned: true, prefix })
  await harness.settledCount(1)
  const { facts, settlement } = harness.settled[0]!
  assert.deepEqual([facts.outcome.kind, facts.outcome.enhancedCode], ['deferred', '4.7.7'])
  assert.equal(settlement.reason, 'unsigned')
  assert.equal(mx.messages.length, 0)
  isAble = true
  for (const isStored of [false, true])
    harness.send(['one@b.test'], { text: eightBit, isEightBit: true, isUnsigned: true, prefix, isStored })
  await harness.settledCount(3)
  for (const { content } of mx.messages) {
    assert.match(content, /^DKIM-Signature: .*\r\nFrom: A/s)
    assert.ok(Buffer.from(content, 'latin1').toString('utf8').includes('Grüße'))
  }
  assert.equal(mx.messages.length, 2)
  // All room is given back: this much fits only when nobody has any.
  assert.ok(harness.room.takeChanged(1_000_000_000))
  await harness.close()
})

test('a report that was signed for a host that dropped us, and is encoded for the next one, leaves no room taken', async () => {
  await using first = await startReceiver({
    address: '127.0.0.2',
    keywords: ['PIPELINING', '8BITMIME'],
    onMail: () => 'drop',
  })
  await using second = await startReceiver({ ...plainPeer, address: '127.0.0.3', port: first.port })
  const harness = new Harness(first.port, {}, { resigner })
  harness.plans.set('b.test', planOf('b.test', ['mx1.b.test', '127.0.0.2'], ['mx2.b.test', '127.0.0.3']))
  harness.send(['one@b.test'], {
    text: eightBit,
    isEightBit: true,
    isUnsigned: true,
    prefix: Buffer.alloc(0),
  })
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['one@b.test delivered'])
  assert.equal(first.messages.length + second.messages.length, 1)
  // This much fits only when nobody has any.
  assert.ok(harness.room.takeChanged(1_000_000_000))
  await harness.close()
})

test('while the room for changed contents is used up a further one is deferred, and there is room again afterwards', async () => {
  let answer = (): void => {}
  const answered = new Promise<void>(resolve => {
    answer = resolve
  })
  let isHeld = true
  await using mx = await startReceiver({
    ...plainPeer,
    onEnd: async () => {
      if (isHeld) await answered
      return '250 2.0.0 ok'
    },
  })
  await using other = await startReceiver({ ...plainPeer, address: '127.0.0.2', port: mx.port })
  const harness = new Harness(mx.port, { readyContentBytesMax: 500 })
  harness.plans.set('b.test', plan)
  harness.plans.set('c.test', planOf('c.test', ['mx.c.test', '127.0.0.2']))
  harness.send(['one@b.test'], { text: eightBit, isEightBit: true })
  while (!mx.commands.includes('DATA')) await new Promise(resolve => setImmediate(resolve))
  harness.send(['two@c.test'], { text: eightBit, isEightBit: true })
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual(
    [outcome.kind, outcome.enhancedCode, outcome.scope],
    ['deferred', '4.3.1', 'configuration'],
  )
  isHeld = false
  answer()
  await harness.settledCount(2)
  harness.send(['three@c.test'], { text: eightBit, isEightBit: true })
  await harness.settledCount(3)
  assert.deepEqual(
    harness.settled.slice(1).map(one => one.facts.outcome.kind),
    ['delivered', 'delivered'],
  )
  assert.equal(other.messages.length, 1)
  await harness.close()
})

test('a multipart/signed message is bounced with 5.6.3 instead of being broken', async () => {
  await using mx = await startReceiver(plainPeer)
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  const text = [
    'From: a@example.test',
    'MIME-Version: 1.0',
    'Content-Type: multipart/signed; boundary=x; protocol="application/pkcs7-signature"; micalg=sha-256',
    '',
    '--x',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'Grüße',
    '--x',
    'Content-Type: application/pkcs7-signature',
    '',
    'AAAA',
    '--x--',
    '',
  ].join('\r\n')
  harness.send(['one@b.test'], { text, isEightBit: true })
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual([outcome.kind, outcome.enhancedCode], ['bounced', '5.6.3'])
  await harness.close()
})

test('without SMTPUTF8 only the recipients that need it bounce, with 5.6.7', async () => {
  await using mx = await startReceiver({ isStrict: true })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['plain@b.test', 'пример@b.test'], { isSmtpUtf8: true })
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['plain@b.test delivered', 'пример@b.test bounced'])
  const bounced = harness.settled.find(({ facts }) => facts.outcome.kind === 'bounced')!
  assert.equal(bounced.facts.outcome.enhancedCode, '5.6.7')
  assert.ok(!mx.messages[0]!.mail.includes('SMTPUTF8'))
  await harness.close()
})

test('without SMTPUTF8 a UTF-8 header or reverse-path bounces all recipients', async () => {
  await using mx = await startReceiver({ isStrict: true })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['one@b.test'], { isSmtpUtf8: true, text: 'Subject: Grüße\r\n\r\nbody\r\n' })
  harness.send(['two@b.test'], { isSmtpUtf8: true, sentReversePath: 'jürgen@example.test' })
  await harness.settledCount(2)
  for (const { facts } of harness.settled) {
    assert.deepEqual([facts.outcome.kind, facts.outcome.enhancedCode], ['bounced', '5.6.7'])
  }
  assert.equal(mx.commands.filter(line => line.startsWith('MAIL')).length, 0)
  await harness.close()
})

test('with SMTPUTF8 offered a UTF-8 recipient is delivered', async () => {
  await using mx = await startReceiver({ keywords: ['PIPELINING', 'SMTPUTF8', '8BITMIME'], isStrict: true })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['пример@b.test'], { isSmtpUtf8: true })
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['пример@b.test delivered'])
  assert.match(mx.messages[0]!.mail, /SMTPUTF8/)
  await harness.close()
})

test('a message above the announced SIZE bounces with 5.3.4 and is not sent', async () => {
  await using mx = await startReceiver({ keywords: ['PIPELINING', 'SIZE 1000'], isStrict: true })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['large@b.test'], { text: `Subject: x\r\n\r\n${'a\r\n'.repeat(1_000)}` })
  harness.send(['small@b.test'])
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['large@b.test bounced', 'small@b.test delivered'])
  const bounced = harness.settled.find(({ facts }) => facts.outcome.kind === 'bounced')!
  assert.equal(bounced.facts.outcome.enhancedCode, '5.3.4')
  assert.equal(mx.commands.filter(line => line.startsWith('MAIL')).length, 1)
  await harness.close()
})

test('a message that is too large only once it is re-encoded bounces with 5.3.4, too', async () => {
  await using mx = await startReceiver({ keywords: ['PIPELINING', 'SIZE 3000'], isStrict: true })
  const harness = new Harness(mx.port, {}, { resigner })
  harness.plans.set('b.test', plan)
  const text = eightBit.replace('Grüße aus Köln', 'ü'.repeat(600).replace(/.{30}/g, '$&\r\n'))
  harness.send(['to@b.test'], { isEightBit: true, text })
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual(
    [outcome.kind, outcome.code, outcome.enhancedCode, outcome.category],
    ['bounced', 552, '5.3.4', 'message-too-large'],
  )
  assert.equal(mx.messages.length, 0)
  await harness.close()
})

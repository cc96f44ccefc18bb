// AUTH as a table of dialogues (RFC 4954, RFC 4616): what is sent, what comes back, what reaches the handler.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codes, makeSecureContext, type TestClient, TestServer } from './test-kit.ts'

const context = makeSecureContext()
const options = { tls: { mode: 'implicit', secureContext: () => context }, offersAuth: true } as const

const b64 = (text: string | Buffer): string => Buffer.from(text).toString('base64')
const plain = (authzid: string, user: string, password: string): string =>
  b64(`${authzid}\0${user}\0${password}`)

interface Dialogue {
  readonly name: string
  /** Lines sent, each after the reply to the one before. */
  readonly lines: readonly string[]
  readonly replies: readonly string[]
  readonly credentials?: readonly string[]
}

const dialogues: readonly Dialogue[] = [
  {
    name: 'PLAIN with an initial response',
    lines: [`AUTH PLAIN ${plain('', 'bob', 'secret')}`],
    replies: ['235 2.7.0'],
    credentials: ['PLAIN||bob|secret'],
  },
  {
    name: 'PLAIN after a challenge',
    lines: ['AUTH PLAIN', plain('', 'bob', 'secret')],
    replies: ['334', '235 2.7.0'],
    credentials: ['PLAIN||bob|secret'],
  },
  {
    name: 'lower-case verb and mechanism',
    lines: [`auth plain ${plain('', 'bob', 'secret')}`],
    replies: ['235 2.7.0'],
    credentials: ['PLAIN||bob|secret'],
  },
  {
    name: 'an authorization identity equal to the user name',
    lines: [`AUTH PLAIN ${plain('bob', 'bob', 'secret')}`],
    replies: ['235 2.7.0'],
    credentials: ['PLAIN|bob|bob|secret'],
  },
  {
    name: 'an authorization identity of somebody else is 535 and not asked about',
    lines: [`AUTH PLAIN ${plain('alice', 'bob', 'secret')}`],
    replies: ['535 5.7.8'],
    credentials: [],
  },
  {
    name: 'a wrong password is the reply of the handler',
    lines: [`AUTH PLAIN ${plain('', 'bob', 'wrong')}`],
    replies: ['535 5.7.8'],
    credentials: ['PLAIN||bob|wrong'],
  },
  {
    name: 'after a wrong password the right one is accepted',
    lines: [`AUTH PLAIN ${plain('', 'bob', 'wrong')}`, `AUTH PLAIN ${plain('', 'bob', 'secret')}`],
    replies: ['535 5.7.8', '235 2.7.0'],
  },
  {
    name: 'LOGIN in three steps',
    lines: ['AUTH LOGIN', b64('bob'), b64('secret')],
    replies: ['334', '334', '235 2.7.0'],
    credentials: ['LOGIN||bob|secret'],
  },
  {
    name: 'LOGIN with the user name as initial response',
    lines: [`AUTH LOGIN ${b64('bob')}`, b64('secret')],
    replies: ['334', '235 2.7.0'],
    credentials: ['LOGIN||bob|secret'],
  },
  {
    name: 'names and passwords in UTF-8',
    lines: [`AUTH PLAIN ${plain('', 'bób', 'pässwörd')}`],
    replies: ['535 5.7.8'],
    credentials: ['PLAIN||bób|pässwörd'],
  },
  { name: 'PLAIN cancelled', lines: ['AUTH PLAIN', '*'], replies: ['334', '501 5.7.0'] },
  { name: 'LOGIN cancelled at the name', lines: ['AUTH LOGIN', '*'], replies: ['334', '501 5.7.0'] },
  {
    name: 'LOGIN cancelled at the password, then the session goes on',
    lines: ['AUTH LOGIN', b64('bob'), '*', 'NOOP'],
    replies: ['334', '334', '501 5.7.0', '250 2.0.0'],
  },
  { name: 'bad base64 as initial response', lines: ['AUTH PLAIN !!!!'], replies: ['501 5.5.2'] },
  { name: 'bad base64 after a challenge', lines: ['AUTH PLAIN', 'abc'], replies: ['334', '501 5.5.2'] },
  { name: 'base64 with stray bits', lines: ['AUTH PLAIN AGEAYh=='], replies: ['501 5.5.2'] },
  { name: 'an empty initial response', lines: ['AUTH PLAIN ='], replies: ['501 5.5.2'] },
  { name: 'an empty response', lines: ['AUTH PLAIN', ''], replies: ['334', '501 5.5.2'] },
  { name: 'one NUL instead of two', lines: [`AUTH PLAIN ${b64('bob\0secret')}`], replies: ['501 5.5.2'] },
  { name: 'a NUL in the password', lines: [`AUTH PLAIN ${b64('\0bob\0sec\0ret')}`], replies: ['501 5.5.2'] },
  {
    name: 'a NUL in a LOGIN password',
    lines: ['AUTH LOGIN', b64('bob'), b64('sec\0ret')],
    replies: ['334', '334', '501 5.5.2'],
  },
  { name: 'an empty user name', lines: [`AUTH PLAIN ${plain('', '', 'secret')}`], replies: ['501 5.5.2'] },
  { name: 'an empty password', lines: [`AUTH PLAIN ${plain('', 'bob', '')}`], replies: ['501 5.5.2'] },
  {
    name: 'octets that are no UTF-8',
    lines: [`AUTH PLAIN ${b64(Buffer.from([0, 0x62, 0xff, 0, 0x63]))}`],
    replies: ['501 5.5.2'],
  },
  {
    name: 'a password over 255 octets',
    lines: [`AUTH PLAIN ${plain('', 'bob', 'x'.repeat(256))}`],
    replies: ['501 5.5.2'],
  },
  { name: 'CRAM-MD5', lines: ['AUTH CRAM-MD5'], replies: ['504 5.5.4'] },
  { name: 'no mechanism', lines: ['AUTH'], replies: ['501 5.5.4'] },
  { name: 'a third word', lines: ['AUTH PLAIN AGEAYg== x'], replies: ['501 5.5.4'] },
  {
    name: 'twice',
    lines: [`AUTH PLAIN ${plain('', 'bob', 'secret')}`, `AUTH PLAIN ${plain('', 'bob', 'secret')}`],
    replies: ['235 2.7.0', '503 5.5.1'],
    credentials: ['PLAIN||bob|secret'],
  },
  {
    name: 'inside a transaction',
    lines: ['MAIL FROM:<a@b.test>', `AUTH PLAIN ${plain('', 'bob', 'secret')}`],
    replies: ['250 2.1.0', '503 5.5.1'],
    credentials: [],
  },
  { name: 'after HELO', lines: ['HELO x', 'AUTH PLAIN'], replies: ['250', '503 5.5.1'] },
  {
    name: 'a line over 12,288 octets',
    lines: [`AUTH PLAIN ${'A'.repeat(12_288)}`, 'NOOP'],
    replies: ['500 5.5.2', '250 2.0.0'],
  },
  {
    name: 'a response over 12,288 octets ends the dialogue',
    lines: ['AUTH PLAIN', 'A'.repeat(12_400), 'NOOP'],
    replies: ['334', '500 5.5.2', '250 2.0.0'],
  },
  {
    name: 'a line of 12,000 octets is read',
    lines: [`AUTH PLAIN ${'A'.repeat(12_000)}`],
    replies: ['501 5.5.2'],
  },
]

async function secured(server: TestServer): Promise<TestClient> {
  const client = server.connectRaw()
  await client.startTls()
  await client.reply()
  await client.talk('EHLO client.test')
  return client
}

for (const { name, lines, replies, credentials } of dialogues) {
  test(`AUTH dialogue: ${name}`, async () => {
    await using server = await TestServer.start(options)
    const client = await secured(server)
    const got: string[] = []
    for (const line of lines) got.push(codes(await client.talk(line)))
    assert.deepEqual(got, replies)
    if (credentials !== undefined) assert.deepEqual(server.recorder.credentials, credentials)
  })
}

for (const [name, opening, start] of [
  ['an initial response', [], 'AUTH PLAIN '],
  ['a response', ['AUTH PLAIN'], ''],
  ['a user name', ['AUTH LOGIN'], ''],
  ['a password', ['AUTH LOGIN', b64('bob')], ''],
] as const) {
  test(`${name} of 1 MiB is refused and the session goes on, and more than that ends it`, async () => {
    await using server = await TestServer.start(options)
    for (const isEnd of [false, true]) {
      const client = await secured(server)
      for (const step of opening) assert.equal(codes(await client.talk(step)), '334')
      client.send(`${start}${'QUFB'.repeat(isEnd ? 400_000 : 262_144 - 3)}${isEnd ? '' : '\r\n'}`)
      assert.equal(codes(await client.reply()), '500 5.5.2')
      if (isEnd) assert.deepEqual(await client.untilClosed(), { replies: [], rest: '' })
      else assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
    }
    assert.deepEqual(server.recorder.credentials, [])
  })
}

test('the LOGIN challenges are the ones that clients look for', async () => {
  await using server = await TestServer.start(options)
  const client = await secured(server)
  assert.equal(await client.talk('AUTH LOGIN'), '334 VXNlcm5hbWU6')
  assert.equal(await client.talk(b64('bob')), '334 UGFzc3dvcmQ6')
})

test('a 235 makes the session authenticated and takes AUTH out of EHLO', async () => {
  await using server = await TestServer.start({ ...options, requiresAuth: true })
  const client = await secured(server)
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), '530 5.7.0')
  await client.talk(`AUTH PLAIN ${plain('', 'bob', 'secret')}`)
  assert.equal(server.sessions[0]!.facts.authenticatedAs, 'bob')
  assert.doesNotMatch(await client.talk('EHLO client.test'), /AUTH/)
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), '250 2.1.0')
})

for (const [name, opening, line] of [
  ['AUTH with an initial response', [], `AUTH PLAIN ${plain('', 'bob', 'wrong')}`],
  ['the response of AUTH PLAIN', ['AUTH PLAIN'], plain('', 'bob', 'wrong')],
  ['the user name of AUTH LOGIN', ['AUTH LOGIN'], b64('bob')],
  ['the password of AUTH LOGIN', ['AUTH LOGIN', b64('bob')], b64('wrong')],
] as const) {
  test(`a client that sends on behind ${name} is cut off, and nobody is asked about its credentials`, async () => {
    await using server = await TestServer.start(options)
    const client = await secured(server)
    for (const step of opening) assert.equal(codes(await client.talk(step)), '334')
    client.send(`${line}\r\nMAIL FROM:<a@b.test>\r\n`)
    assert.deepEqual((await client.untilClosed()).replies.map(codes), ['554 5.5.0'])
    assert.equal(await server.closeReason(), 'pipelining')
    assert.deepEqual(server.recorder.credentials, [])
  })
}

test('before TLS the credentials are refused without being read', async () => {
  await using server = await TestServer.start({
    ...options,
    tls: { mode: 'starttls', secureContext: () => context },
  })
  const client = await server.greeted()
  assert.equal(codes(await client.talk(`AUTH PLAIN ${plain('', 'bob', 'secret')}`)), '538 5.7.11')
  assert.equal(codes(await client.talk('AUTH LOGIN')), '538 5.7.11')
  assert.deepEqual(server.recorder.credentials, [])
})

test('AUTH on a listener that does not offer it is not implemented', async () => {
  await using server = await TestServer.start({ ...options, offersAuth: false })
  const client = await secured(server)
  assert.equal(codes(await client.talk('AUTH PLAIN')), '502 5.5.1')
})

test('AUTH= on MAIL is read and ignored', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test> AUTH=<>')), '250 2.1.0')
  await client.talk('RSET')
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test> AUTH=e+3Dmc2@example.test')), '250 2.1.0')
  await client.talk('RSET')
  assert.equal(codes(await client.talk('MAIL FROM:<a@b.test> AUTH=a+0D')), '501 5.5.4')
})

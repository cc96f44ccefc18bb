// Situation: somebody guesses passwords, over many connections at once. The guesser is slowed, by address; nobody else is,
// no account is locked, and mail goes on.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { plainToken, SmtpClient } from './support/client.ts'
import { describe, Siege } from './support/siege.ts'

const guesser = '127.50.0.1'
/** What an ordinary message may take beside 200 logins at once: each is a handshake, for this process too. */
const slowestMsMax = 2000

let siege: Siege
before(async () => {
  siege = await Siege.open({
    toml: '[limits]\nconnections_per_address = 400\nconnection_rate_per_address = 100000\n',
  })
})
after(() => siege[Symbol.asyncDispose]())

async function connectFrom(localAddress: string): Promise<SmtpClient> {
  const client = await SmtpClient.connect(siege.house.ports.submissions, { isTls: true, localAddress })
  await client.hello()
  return client
}

const guess = (client: SmtpClient, secret = 'wrong'): ReturnType<SmtpClient['command']> =>
  client.command(`AUTH PLAIN ${plainToken(siege.house.login.username, secret)}`)

test('200 connections that guess at the same time: ordinary mail goes on, and every guess gets the same answer', {
  timeout: 120_000,
}, async t => {
  const texts = new Set<string>()
  const cost = await siege.during(
    async () => {
      const clients = await Promise.all(Array.from({ length: 200 }, () => connectFrom(guesser)))
      await Promise.all(
        clients.map(async client => {
          texts.add((await guess(client)).text)
          await client[Symbol.asyncDispose]()
        }),
      )
    },
    96,
    slowestMsMax,
  )
  t.diagnostic(describe(cost))
  assert.equal(texts.size, 1)
  assert.match([...texts][0]!, /^535 5\.7\.8 /)
})

test('200 right logins at the same moment, again and again: ordinary mail goes on, and each gets in', {
  timeout: 120_000,
}, async t => {
  let logins = 0
  const cost = await siege.during(
    async () => {
      const clients = await Promise.all(Array.from({ length: 200 }, () => connectFrom('127.50.1.1')))
      const replies = await Promise.all(clients.map(client => guess(client, siege.house.login.secret)))
      for (const { code } of replies) assert.equal(code, 235)
      logins += replies.length
      for (const client of clients) await client[Symbol.asyncDispose]()
    },
    96,
    slowestMsMax,
  )
  t.diagnostic(`${logins} logins; ${describe(cost)}`)
})

test('the guesser waits for the refusal, and the right secret works at once, from his address and from others', {
  timeout: 60_000,
}, async () => {
  await using slow = await connectFrom(guesser)
  let isAnswered = false
  const answer = guess(slow).then(reply => {
    isAnswered = true
    return reply
  })
  for (const address of [guesser, '127.50.0.2']) {
    await using owner = await connectFrom(address)
    assert.equal((await guess(owner, siege.house.login.secret)).code, 235)
    assert.equal(isAnswered, false, 'the guesser still waits')
  }
  assert.equal((await answer).code, 535)
})

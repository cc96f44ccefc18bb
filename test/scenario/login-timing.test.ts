// Situation: somebody measures how long refusals of logins take, in order to learn which user names exist.
//
// Five hundred for a name that exists and five hundred for names that do not, in random turns, over many connections under
// TLS. The rank test of Mann and Whitney must not tell them apart; a busy machine may cost a try. What a refusal does is
// counted in src/accounts/verify.test.ts: this looks at everything round it as well.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { plainToken, SmtpClient } from './support/client.ts'
import { House } from './support/house.ts'

const each = 500
/** Of a connection; more failures would end it. */
const perConnection = 10
const triesMax = 3
/** Chance alone is below this once in a hundred tries, and so three times in a row once in a million. */
const pMin = 0.01

let house: House
before(async () => {
  // The delay of refusals is not what is measured.
  const limits = '[limits]\nauth_failures = 1000000\nconnection_rate_per_address = 100000\n'
  house = await House.open(limits)
})
after(() => house[Symbol.asyncDispose]())

const letters = 'abcdefghijklmnopqrstuvwxyz234567'
const random = (length: number): string =>
  [...randomBytes(length)].map(octet => letters[octet % letters.length]).join('')

/** How likely it is that two samples of one thing differ as much as these (normal approximation, ties count half). */
function pOf(one: readonly number[], other: readonly number[]): number {
  const all = [...one.map(ms => ({ ms, isOne: true })), ...other.map(ms => ({ ms, isOne: false }))]
  all.sort((a, b) => a.ms - b.ms)
  let rankSum = 0
  for (let at = 0; at < all.length; ) {
    let end = at
    while (end < all.length && all[end]!.ms === all[at]!.ms) end++
    const rank = (at + 1 + end) / 2
    for (; at < end; at++) if (all[at]!.isOne) rankSum += rank
  }
  const [n, m] = [one.length, other.length]
  const u = rankSum - (n * (n + 1)) / 2
  const z = Math.abs(u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12)
  return 2 * (1 - normalBelow(z))
}

/** The share of a normal distribution below z >= 0 (Abramowitz and Stegun 26.2.17). */
function normalBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * z)
  const series =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return 1 - (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * series
}

/** Milliseconds of refusals, for the name that exists and for others of the same length. */
async function measure(): Promise<{ readonly known: number[]; readonly unknown: number[] }> {
  const { username, secret } = house.login
  const known: number[] = []
  const unknown: number[] = []
  while (known.length < each || unknown.length < each) {
    await using client = await SmtpClient.connect(house.ports.submissions, { isTls: true })
    await client.hello()
    for (let turn = 0; turn < perConnection; turn++) {
      const isKnown = Math.random() < 0.5
      const name = isKnown ? username : random(username.length)
      const line = `AUTH PLAIN ${plainToken(name, `pr_${random(secret.length - 3)}`)}`
      const startMs = performance.now()
      assert.equal((await client.command(line)).code, 535)
      // The first of a connection pays for what is made once.
      if (turn > 0) (isKnown ? known : unknown).push(performance.now() - startMs)
    }
  }
  return { known: known.slice(0, each), unknown: unknown.slice(0, each) }
}

test('who is refused cannot tell from the time whether the name exists', { timeout: 120_000 }, async t => {
  await measure()
  for (let tries = 1; ; tries++) {
    const { known, unknown } = await measure()
    const p = pOf(known, unknown)
    const median = (values: readonly number[]): string =>
      values.toSorted((a, b) => a - b)[each / 2]!.toFixed(3)
    t.diagnostic(`medians ${median(known)} and ${median(unknown)} ms, p ${p.toFixed(3)}`)
    if (p > pMin) return
    assert.ok(tries < triesMax, 'the times differ')
  }
})

test('a tenth of a millisecond more would be seen', async () => {
  const { known, unknown } = await measure()
  assert.ok(
    pOf(
      known.map(ms => ms + 0.1),
      unknown,
    ) < pMin,
  )
})

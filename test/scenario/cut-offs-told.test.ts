// Situation: clients do what no honest client does, and their sessions are ended. The operator asks who tries what, and
// finds a line of the log for each kind and address, and a count, but not a disk full of lines.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/postrider.ts'
import { SmtpClient } from './support/client.ts'
import { logged } from './support/faults.ts'
import { House } from './support/house.ts'

const limits = '[limits]\ndata_idle = "2s"\nhandshake = "2s"\nconnection_rate_per_address = 100000\n'
/** It comes without a login. */
const inside = '127.9.0.1'

let house: House
let proxiedPort: number
before(async () => {
  proxiedPort = await freePort()
  const proxied = `[[listener]]\naddress = "127.0.0.1:${proxiedPort}"\nkind = "submission"\nproxy_protocol = true\n`
  house = await House.open(`${limits}${proxied}`, { relay: `networks = ["${inside}"]\naccount = "acme"` })
})
after(() => house[Symbol.asyncDispose]())

/** What a client does from its address; the server closes. */
type Deed = (localAddress: string) => Promise<SmtpClient>

const behind =
  (tail: string): Deed =>
  async localAddress => {
    const client = await SmtpClient.connect(house.ports.submission, { localAddress })
    await client.hello()
    client.write(tail)
    return client
  }

const first =
  (bytes: string | Buffer, port: () => number = () => house.ports.submission): Deed =>
  async localAddress => {
    const client = await SmtpClient.open(port(), { localAddress })
    client.write(bytes)
    return client
  }

/** A proxy of this machine. */
const fromProxy =
  (text: string): Deed =>
  () =>
    first(text, () => proxiedPort)('127.0.0.1')

const halfAContent: Deed = async () => {
  const client = await SmtpClient.connect(house.ports.relay, { localAddress: inside })
  await client.hello()
  client.write('MAIL FROM:<ann@acme.example>\r\nRCPT TO:<u@there.example>\r\nDATA\r\n')
  for (const code of [250, 250, 354]) await client.expect(code)
  client.write('Subject: half')
  return client
}

const deeds: readonly (readonly [name: string, deed: Deed, reason: string, from?: string])[] = [
  ['a dialogue behind STARTTLS', behind('STARTTLS\r\nEHLO x\r\nMAIL FROM:<a@b>\r\n'), 'starttls-injection'],
  ['an octet behind STARTTLS', behind('STARTTLS\r\nN'), 'starttls-injection'],
  ['a second STARTTLS behind STARTTLS', behind('STARTTLS\r\nSTARTTLS\r\n'), 'starttls-injection'],
  ['what was not waited for', behind('EHLO x\r\nMAIL FROM:<a@b.example>\r\n'), 'pipelining'],
  [
    'words before the greeting',
    fromProxy('PROXY TCP4 192.0.2.7 198.51.100.1 8080 25\r\nEHLO x\r\n'),
    'early-talker',
    '192.0.2.7',
  ],
  ['HTTP', first('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 'not-smtp'],
  ['TLS at a door in the clear', first(Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0])), 'not-smtp'],
  ['a line that never ends', behind('x'.repeat(2 * 1024 * 1024)), 'flood'],
  ['nothing but mistakes', behind('FOO\r\n'.repeat(100)), 'errors'],
  ['nothing but RSET', behind('RSET\r\n'.repeat(200)), 'junk'],
  ['garbage for TLS', first(Buffer.alloc(500, 0xff), () => house.ports.submissions), 'tls-failed'],
  ['no PROXY header', fromProxy('EHLO x\r\n'), 'proxy-header', '127.0.0.1'],
  ['half a content', halfAContent, 'content-idle', inside],
]

async function untilTold(reason: string, from: string): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < 200; tries++) {
    const lines = logged(house.server.output, 'session.cut-off')
    const found = lines.find(line => line['reason'] === reason && line['clientAddress'] === from)
    if (found !== undefined) return found
    await sleep(50)
  }
  return assert.fail(`no line about ${reason} from ${from}:\n${house.server.output}`)
}

async function counted(reason: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${house.server.httpPort}/metrics`)).text()
  const label = `postrider_sessions_cut_off_total{reason="${reason}"} `
  const line = text.split('\n').find(one => one.startsWith(label))
  return Number(line?.slice(label.length) ?? 0)
}

for (const [index, [name, deed, reason, from]] of deeds.entries())
  test(`${name} is told as ${reason}, with the address, and counted`, { timeout: 60_000 }, async () => {
    const before = await counted(reason)
    // An address of its own, but where the door is for one.
    const own = `127.9.1.${index + 1}`
    await using client = await deed(own)
    await client.ended()
    const line = await untilTold(reason, from ?? own)
    assert.deepEqual(Object.keys(line), ['level', 'time', 'thread', 'event', 'reason', 'clientAddress'])
    assert.equal(line['level'], 'info')
    assert.equal(await counted(reason), before + 1)
  })

test('three hundred of a kind are twenty lines, and all are counted', { timeout: 60_000 }, async () => {
  const before = await counted('starttls-injection')
  for (let at = 0; at < 300; at += 50)
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        await using client = await behind('STARTTLS\r\nNOOP\r\n')(`127.9.2.${((at + i) % 250) + 1}`)
        await client.ended()
      }),
    )
  while ((await counted('starttls-injection')) < before + 300) await sleep(20)
  const lines = logged(house.server.output, 'session.cut-off').filter(
    line => line['reason'] === 'starttls-injection',
  )
  // Two windows of ten seconds on each thread, should a busy machine need that long.
  assert.ok(lines.length <= 80, `${lines.length} lines`)
})

test('who says QUIT, or goes without a word, is no line of the log', { timeout: 60_000 }, async () => {
  const { length } = house.server.output
  await using polite = await SmtpClient.connect(house.ports.submission, { localAddress: '127.9.3.1' })
  await polite.command('QUIT')
  await using gone = await SmtpClient.connect(house.ports.submission, { localAddress: '127.9.3.2' })
  await gone.hello()
  await gone[Symbol.asyncDispose]()
  await using marker = await behind('FOO\r\n'.repeat(100))('127.9.3.3')
  await marker.ended()
  await untilTold('errors', '127.9.3.3')
  assert.doesNotMatch(house.server.output.slice(length), /127\.9\.3\.[12]"/)
})

// What the MX hosts of a domain do decides how mail reaches it: greetings, failures in a transaction, TLS, extensions.
//
// The rows of support/mx-cases.ts, all at once: domains in Knot behind Unbound, a host an address, one Postrider. A
// message may go in clear text after 6 seconds here, and its second attempt comes after 8 (at least 7.2). An address that
// leads nowhere takes 4.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Receiver, type ReceiverOptions, startReceiver } from '../../src/delivery/testing/receiver.ts'
import { makeCertificate } from '../../src/protocol/smtp/client/testing/certificates.ts'
import { queuedId, type SmtpClient } from '../scenario/support/client.ts'
import { eventsOf, House, message, type ShownEvent, waitForEvents } from '../scenario/support/house.ts'
import { startMailNetwork } from './support/mail-network.ts'
import { type Expected, type HostBehaviour, type MxCase, mxCases } from './support/mx-cases.ts'
import { needs } from './support/needs.ts'

const certificate = makeCertificate('mx.hosts.test')
const patience = 'tls_fallback_after = "6s"\nconnect_timeout = "4s"\n[retry]\nschedule = ["8s", "1h"]\n'

/** A row with its place in the network. */
interface Stand {
  readonly one: MxCase
  readonly domain: string
  readonly addresses: readonly string[]
  readonly receivers: (Receiver | null)[]
}

const stands: readonly Stand[] = mxCases.map((one, row) => ({
  one,
  domain: `c${row}.hosts.test`,
  addresses: one.hosts.map((_, host) => `127.77.${row}.${host + 1}`),
  receivers: [],
}))

const records = stands.flatMap(({ one, addresses }, row) => [
  ...addresses.flatMap((address, host) => {
    const { onlyAt = [address], alsoAt = [] } = one.hosts[host]!
    return [...onlyAt, ...alsoAt].map(at => `h${host}.c${row} ${at.includes(':') ? 'AAAA' : 'A'} ${at}`)
  }),
  ...addresses.map((_, host) => `c${row} MX ${host * 10} h${host}.c${row}`),
])

const needed = await needs('knot', 'unbound')

test('mail reaches a domain as its hosts allow', needed, async context => {
  await using owned = new AsyncDisposableStack()
  // Two domains that share one host, and one host under two demands.
  const shared = ['one MX 10 shared', 'two MX 10 shared', 'shared A 127.77.250.1']
  const network = owned.use(
    await startMailNetwork({
      zones: [{ name: 'hosts.test', records: [...records, ...shared] }],
      allowPrivate: ['127.0.0.0/8', '::1/128'],
    }),
  )
  const port = network.mxPort
  for (const stand of stands)
    for (const [host, behaviour] of stand.one.hosts.entries())
      stand.receivers.push(await start(owned, stand, host, behaviour, port))
  const common = owned.use(await startReceiver({ address: '127.77.250.1', port }))
  const demanding = owned.use(
    await startReceiver({ address: '127.77.250.2', port, tls: certificate, keywords: ['AUTH PLAIN'] }),
  )
  const routes = stands.flatMap(({ one, domain, addresses }) =>
    one.route === undefined ? [] : [route(domain, `${addresses[0]}:${port}`, one.route)],
  )
  const demands = [
    route('opportunistic.demands.test', `127.77.250.2:${port}`, []),
    route('required.demands.test', `127.77.250.2:${port}`, ['tls = "required"']),
    route('other-required.demands.test', `127.77.250.2:${port}`, ['tls = "required"']),
  ]
  const toml = `${network.toml}${patience}${[...routes, ...demands].join('')}`
  const house = owned.use(await House.open(toml))
  const client = owned.use(await house.client())

  const changing = stands.filter(({ one }) => one.change !== undefined)
  const wellBefore = changing.filter(({ one }) => one.messages[0] === 1)
  const before: string[] = []
  for (const { domain } of wellBefore) before.push(await send(client, `before@${domain}`))
  await allHave(house, before, 1)
  // Its connections end first: what is open is used whatever the host has become.
  for (const { receivers } of wellBefore) await Promise.all(receivers.map(one => one?.closeAll()))

  const ids: string[] = []
  for (const stand of stands) {
    const { change, content } = stand.one
    const isLater = change !== undefined && !wellBefore.includes(stand)
    for (const [host, behaviour] of (isLater ? [] : (change ?? [])).entries())
      stand.receivers[host]?.change(optionsOf(behaviour))
    ids.push(await send(client, `a@${stand.domain}`, content))
  }
  await allHave(house, ids, 1)
  for (const stand of changing.filter(one => !wellBefore.includes(one)))
    for (const [host, behaviour] of stand.one.change!.entries())
      stand.receivers[host] ??= await start(owned, stand, host, behaviour, port)
  const withSecond = ids.filter((_, row) => stands[row]!.one.second !== undefined)
  // What has none by then is told by its row.
  const events = await allHave(house, withSecond, 2).catch(() => eventsOf(house.server))

  for (const [row, { one, addresses, receivers }] of stands.entries()) {
    await context.test(one.name, () => {
      const attempts = attemptsOf(events, ids[row]!)
      check(attempts[0], one.first, addresses, port)
      if (one.second !== undefined) check(attempts[1], one.second, addresses, port)
      assert.deepEqual(
        receivers.map(receiver => receiver?.messages.length ?? 0),
        one.messages,
      )
      for (const host of one.unasked ?? []) assert.equal(receivers[host]?.connections, 0)
      if (one.arrives !== undefined) assert.match(receivers[0]!.messages.at(-1)!.content, one.arrives)
      const commands = receivers[0]?.commands ?? []
      for (const [pattern, isSaid] of [
        [one.said, true],
        [one.unsaid, false],
      ] as const)
        if (pattern !== undefined)
          assert.equal(
            commands.some(line => pattern.test(line)),
            isSaid,
            `${pattern} in ${commands.join(', ')}`,
          )
    })
  }

  await context.test('two domains on one MX host with the same demands share a connection', async () => {
    for (const domain of ['one.hosts.test', 'two.hosts.test'])
      await allHave(house, [await send(client, `a@${domain}`)], 1)
    assert.deepEqual(
      common.messages.map(one => one.connection),
      [1, 1],
    )
  })

  await context.test('two domains on one host with different demands on TLS share none', async () => {
    for (const domain of ['opportunistic', 'required', 'other-required', 'opportunistic'])
      await allHave(house, [await send(client, `a@${domain}.demands.test`)], 1)
    assert.deepEqual(
      demanding.messages.map(one => one.connection),
      [1, 2, 2, 1],
    )
  })
})

function route(domain: string, smarthost: string, lines: readonly string[]): string {
  const more = lines.map(line => `${line}\n`).join('')
  return `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "${smarthost}"\n${more}`
}

function optionsOf({ isDead: _, alsoAt: __, onlyAt: ___, tls, ...rest }: HostBehaviour): ReceiverOptions {
  return tls === undefined ? rest : { ...rest, tls: tls === 'works' ? certificate : tls }
}

async function start(
  owned: AsyncDisposableStack,
  { addresses }: Stand,
  host: number,
  behaviour: HostBehaviour,
  port: number,
): Promise<Receiver | null> {
  if (behaviour.isDead === true) return null
  return owned.use(await startReceiver({ ...optionsOf(behaviour), address: addresses[host]!, port }))
}

const mime = [
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
]
const signed = [
  'MIME-Version: 1.0',
  'Content-Type: multipart/signed; boundary=b; micalg=pgp-sha256; protocol="application/pgp-signature"',
]
const signedBody = ['--b', ...mime.slice(1), '', 'Grüße', '--b', '', 'AAAA', '--b--'].join('\r\n')

/** Content and parameters of each kind. */
const contents: Readonly<
  Record<NonNullable<MxCase['content']>, { content: string; mail?: string; rcpt?: string }>
> = {
  plain: { content: message() },
  '8-bit': { content: message(mime, 'Grüße'), mail: ' BODY=8BITMIME' },
  'UTF-8': {
    content: message(['X-Greeting: Grüße', ...mime], 'Grüße'),
    mail: ' SMTPUTF8 BODY=8BITMIME',
  },
  'needless SMTPUTF8': { content: message(), mail: ' SMTPUTF8 BODY=8BITMIME' },
  signed: { content: message(signed, signedBody), mail: ' BODY=8BITMIME' },
  DSN: {
    content: message(),
    mail: ' RET=HDRS ENVID=QQ314',
    rcpt: ' NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@there.example',
  },
}

async function send(client: SmtpClient, to: string, kind: MxCase['content'] = 'plain'): Promise<string> {
  const { content, ...parameters } = contents[kind]
  return queuedId(await client.send('ann@acme.example', to, content, parameters))
}

/** The events with an outcome of a message, in order. */
function attemptsOf(events: readonly ShownEvent[], id: string): ShownEvent[] {
  return events.filter(event => event.messageId === id && event.outcome !== undefined)
}

/** Waits until each message has so many outcomes; gives all events. */
function allHave(house: House, ids: readonly string[], count: number): Promise<ShownEvent[]> {
  return waitForEvents(
    house.server,
    events => {
      const counts = new Map<string, number>()
      for (const { messageId, outcome } of events)
        if (messageId !== null && outcome !== undefined)
          counts.set(messageId, (counts.get(messageId) ?? 0) + 1)
      return ids.every(id => (counts.get(id) ?? 0) >= count)
    },
    60_000,
  )
}

function check(
  event: ShownEvent | undefined,
  expected: Expected,
  addresses: readonly string[],
  port: number,
): void {
  const outcome = event?.outcome
  assert.ok(outcome !== undefined, 'no outcome')
  const shown = `${outcome.kind} ${outcome.code} ${outcome.enhancedCode} at ${outcome.stage}: ${outcome.text}`
  assert.equal(outcome.kind, expected.kind, shown)
  if (expected.host !== undefined) assert.equal(outcome.remoteAddress, `${addresses[expected.host]}:${port}`)
  if (expected.code !== undefined) assert.equal(outcome.code, expected.code, shown)
  if (expected.enhancedCode !== undefined) assert.equal(outcome.enhancedCode, expected.enhancedCode, shown)
  if (expected.stage !== undefined) assert.equal(outcome.stage, expected.stage, shown)
  assert.equal(outcome.isUncertain === true, expected.isUncertain === true, shown)
  if (expected.isTls !== undefined)
    assert.equal(Boolean(outcome.tls), expected.isTls, `TLS: ${String(outcome.tls)}`)
}

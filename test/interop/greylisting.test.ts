// Greylisting by Debian's postgrey, asked by five servers: a stranger's first try is put off, and Postrider comes again.
//
// What must hold at each: a deferred recipient says so and is delivered by a later attempt of the schedule, once; who was
// let in before is not put off again; of several recipients each has its own way; a null reverse-path is greylisted, too.
// Postfix asks postgrey by itself, Exim in its ACL, OpenSMTPD by a filter, sendmail by a milter, smtp-server by a hook.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { queuedId } from '../scenario/support/client.ts'
import { House, message, typesOf, waitForAll, waitForEvents } from '../scenario/support/house.ts'
import {
  freePort,
  type Postgrey,
  policyQuestion,
  type Receiver,
  type ReceiverOptions,
  startEximReceiver,
  startOpenSmtpdReceiver,
  startPostfixReceiver,
  startPostgrey,
  startSendmailReceiver,
  startSmtpServerReceiver,
} from '../support/peers/index.ts'
import { startMailNetwork, zoneWithMx } from './support/mail-network.ts'
import { needs } from './support/needs.ts'

/** A server that greylists. */
interface Site {
  readonly name: string
  readonly address: string
  readonly start: (at: ReceiverOptions, postgrey: Postgrey) => Promise<Receiver>
  /** What it puts in front of a mail that waited, at postgrey's wish. */
  readonly adds?: RegExp
}

const sites: readonly Site[] = [
  {
    name: 'postfix',
    address: '127.0.0.60',
    start: (at, { service }) =>
      startPostfixReceiver({
        ...at,
        extraMainCf: `smtpd_recipient_restrictions = check_policy_service ${service}`,
      }),
    adds: /^X-Greylist: delayed ([3-9]|\d{2,}) seconds by postgrey/,
  },
  {
    name: 'exim',
    address: '127.0.0.65',
    start: (at, { service }) => startEximReceiver({ ...at, rcptAcl: eximAcl(service) }),
  },
  {
    name: 'opensmtpd',
    address: '127.0.0.66',
    start: (at, { policy }) => startOpenSmtpdReceiver({ ...at, rcptPolicy: policy }),
  },
  {
    name: 'sendmail',
    address: '127.0.0.67',
    start: (at, { policy }) => startSendmailReceiver({ ...at, rcptPolicy: policy }),
  },
  {
    name: 'smtp-server',
    address: '127.0.0.68',
    start: (at, { policy }) => startSmtpServerReceiver({ ...at, rcptPolicy: policy }),
  },
]
const domainOf = ({ name }: Site): string => `grey-${name}.test`
const delaySec = 3

/** As the Exim of a site with postgrey does it: the question that Postfix would ask, and 450 with postgrey's words. */
function eximAcl(service: string): string {
  const question = policyQuestion({
    clientAddress: '$sender_host_address',
    helo: '$sender_helo_name',
    from: '$sender_address',
    to: '$local_part@$domain',
  })
  return [
    `  warn set acl_m_grey = \${readsocket{${service}}{${question.replaceAll('\n', '\\n')}}{10s}{ }{action=none}}`,
    `  defer condition = \${if match{$acl_m_grey}{DEFER_IF_PERMIT}}`,
    `    message = 450 4.2.0 \${sg{$acl_m_grey}{\\N^.*DEFER_IF_PERMIT\\s*|\\s+$\\N}{}}`,
  ].join('\n')
}

const needed = await needs('postfix', 'exim', 'opensmtpd', 'sendmail', 'm4', 'postgrey', 'knot', 'unbound')

// At all of them at once, since most of the time is waiting.
test('greylisting by postgrey is waited out', { ...needed, concurrency: true }, async context => {
  await using owned = new AsyncDisposableStack()
  const postgrey = owned.use(await startPostgrey({ port: await freePort(), delaySec }))
  const zones = sites.map(site => zoneWithMx(domainOf(site), site.address))
  const network = owned.use(await startMailNetwork({ zones }))
  const receivers: Receiver[] = []
  for (const site of sites) {
    const at = { listenAddress: site.address, port: network.mxPort }
    receivers.push(owned.use(await site.start(at, postgrey)))
  }
  const house = owned.use(await House.open(`${network.toml}[retry]\nschedule = ["1s"]\n`))
  await Promise.all(
    sites.map((site, index) =>
      context.test(site.name, one =>
        assertGreylists(one, { house, postgrey, site, receiver: receivers[index]! }),
      ),
    ),
  )
})

async function assertGreylists(
  context: TestContext,
  parts: {
    readonly house: House
    readonly postgrey: Postgrey
    readonly site: Site
    readonly receiver: Receiver
  },
): Promise<void> {
  const { house, postgrey, site, receiver } = parts
  await using client = await house.client()
  const at = (user: string): string => `${user}@${domainOf(site)}`
  const [to, carol, dave] = [at('bob'), at('carol'), at('dave')]

  await context.test('the first mail is deferred with a reason, and delivered later', async () => {
    const id = queuedId(await client.send('ann@acme.example', to, message()))
    const events = await waitForAll(house.server, [id], 'delivered')
    const types = typesOf(events, id)
    assert.deepEqual([types[0], types[1], types.at(-1)], ['accepted', 'deferred', 'delivered'])
    const { outcome } = events.find(event => event.messageId === id && event.type === 'deferred')!
    assert.deepEqual([outcome!.code, outcome!.stage, outcome!.category], [450, 'rcpt', 'greylisted'])
    assert.match(outcome!.text, /Greylisted/)
    const [mail] = await receiver.waitFor(1)
    assert.match(mail!.bytes.toString('latin1'), site.adds ?? /^Received: /)
    const triplet = `client_address=127.0.0.1, sender=ann@acme.example, recipient=${to}`
    const said = postgrey
      .output()
      .split('\n')
      .filter(line => line.endsWith(triplet))
    assert.match(said[0] ?? '', /action=greylist, reason=new,/)
    assert.match(said.at(-1) ?? '', /action=pass, reason=triplet found, delay=([3-9]|\d{2,}),/)
  })

  await context.test('the next mail to the same recipient goes at once', async () => {
    const id = queuedId(await client.send('ann@acme.example', to, message()))
    const events = await waitForAll(house.server, [id], 'delivered')
    assert.deepEqual(typesOf(events, id), ['accepted', 'delivered'])
  })

  await context.test('a known recipient does not wait for unknown ones in the same mail', async () => {
    const id = queuedId(await client.send('ann@acme.example', [to, carol, dave], message()))
    const events = await waitForEvents(
      house.server,
      seen => seen.filter(one => one.messageId === id && one.type === 'delivered').length === 3,
    )
    const typesFor = (path: string) =>
      events.filter(one => one.messageId === id && one.forwardPath === path).map(one => one.type)
    assert.deepEqual(typesFor(to), ['delivered'])
    for (const path of [carol, dave]) {
      assert.equal(typesFor(path)[0], 'deferred')
      assert.equal(typesFor(path).at(-1), 'delivered')
    }
  })

  await context.test('a null reverse-path is put off and delivered like others', async () => {
    const id = queuedId(await client.send('', to, message()))
    const types = typesOf(await waitForAll(house.server, [id], 'delivered'), id)
    assert.deepEqual([types[1], types.at(-1)], ['deferred', 'delivered'])
  })

  await context.test('and nobody gets anything twice', async () => {
    const expected = [to, to, to, to, carol, dave].sort()
    let mails = await receiver.received()
    const arrived = () => mails.flatMap(mail => mail.rcptTo).sort()
    while (arrived().length < expected.length) mails = await receiver.waitFor(mails.length + 1)
    assert.deepEqual(arrived(), expected)
  })
}

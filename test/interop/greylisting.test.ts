// Debian's postgrey in front of Debian's Postfix, and asked by Debian's Exim: a stranger's first try is put off, and Postrider comes again.
//
// What must hold: a deferred recipient says so and is delivered by a later attempt of the schedule, once; who was let in
// before is not put off again; of several recipients each has its own way; a null reverse-path is greylisted, too.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queuedId } from '../scenario/support/client.ts'
import { House, message, typesOf, waitForAll, waitForEvents } from '../scenario/support/house.ts'
import { freePort, startEximReceiver, startPostfixReceiver, startPostgrey } from '../support/peers/index.ts'
import { startMailNetwork, zoneWithMx } from './support/mail-network.ts'
import { needs } from './support/needs.ts'

const grey = { domain: 'grey.test', address: '127.0.0.60' } as const
const exims = { domain: 'grey-exim.test', address: '127.0.0.65' } as const
const delaySec = 3

/** As the Exim of a site with postgrey does it: the question that Postfix would ask, and 450 with postgrey's words. */
function askPostgrey(service: string): string {
  const question = [
    'request=smtpd_access_policy',
    'protocol_state=RCPT',
    'protocol_name=ESMTP',
    'client_address=$sender_host_address',
    'client_name=unknown',
    'helo_name=$sender_helo_name',
    'sender=$sender_address',
    'recipient=$local_part@$domain',
  ]
  const lines = question.map(line => `${line}\\n`).join('')
  return [
    `  warn set acl_m_grey = \${readsocket{${service}}{${lines}\\n}{10s}{ }{action=none}}`,
    `  defer condition = \${if match{$acl_m_grey}{DEFER_IF_PERMIT}}`,
    `    message = 450 4.2.0 \${sg{$acl_m_grey}{\\N^.*DEFER_IF_PERMIT\\s*|\\s+$\\N}{}}`,
  ].join('\n')
}

const needed = await needs('postfix', 'exim', 'postgrey', 'knot', 'unbound')

test('greylisting by postgrey is waited out', needed, async context => {
  await using postgrey = await startPostgrey({ port: await freePort(), delaySec })
  await using network = await startMailNetwork({
    zones: [grey, exims].map(one => zoneWithMx(one.domain, one.address)),
  })
  await using postfix = await startPostfixReceiver({
    listenAddress: grey.address,
    port: network.mxPort,
    extraMainCf: `smtpd_recipient_restrictions = check_policy_service ${postgrey.service}`,
  })
  await using exim = await startEximReceiver({
    listenAddress: exims.address,
    port: network.mxPort,
    rcptAcl: askPostgrey(postgrey.service),
  })
  await using house = await House.open(`${network.toml}[retry]\nschedule = ["1s"]\n`)
  await using client = await house.client()
  const to = `bob@${grey.domain}`

  await context.test('the first mail is deferred with a reason, and delivered later', async () => {
    const id = queuedId(await client.send('ann@acme.example', to, message()))
    const events = await waitForAll(house.server, [id], 'delivered')
    const types = typesOf(events, id)
    assert.deepEqual([types[0], types[1], types.at(-1)], ['accepted', 'deferred', 'delivered'])
    const { outcome } = events.find(event => event.messageId === id && event.type === 'deferred')!
    assert.deepEqual([outcome!.code, outcome!.stage], [450, 'rcpt'])
    assert.match(outcome!.text, /Greylisted/)
    assert.equal(outcome!.category, 'greylisted')
    const [mail] = await postfix.waitFor(1)
    assert.match(mail!.bytes.toString('latin1'), /^X-Greylist: delayed ([3-9]|\d{2,}) seconds by postgrey/)
  })

  await context.test('an Exim that asks postgrey is waited out, too', async () => {
    const id = queuedId(await client.send('ann@acme.example', `bob@${exims.domain}`, message()))
    const events = await waitForAll(house.server, [id], 'delivered')
    const types = typesOf(events, id)
    assert.deepEqual([types[0], types[1], types.at(-1)], ['accepted', 'deferred', 'delivered'])
    const { outcome } = events.find(event => event.messageId === id && event.type === 'deferred')!
    assert.deepEqual([outcome!.code, outcome!.stage, outcome!.category], [450, 'rcpt', 'greylisted'])
    const mails = await exim.waitFor(1)
    assert.deepEqual(
      mails.map(mail => mail.rcptTo),
      [[`bob@${exims.domain}`]],
    )
  })

  await context.test('the next mail to the same recipient goes at once', async () => {
    const id = queuedId(await client.send('ann@acme.example', to, message()))
    const events = await waitForAll(house.server, [id], 'delivered')
    assert.deepEqual(typesOf(events, id), ['accepted', 'delivered'])
  })

  await context.test('a known recipient does not wait for unknown ones in the same mail', async () => {
    const all = [to, `carol@${grey.domain}`, `dave@${grey.domain}`]
    const id = queuedId(await client.send('ann@acme.example', all, message()))
    const events = await waitForEvents(
      house.server,
      seen => seen.filter(one => one.messageId === id && one.type === 'delivered').length === all.length,
    )
    const typesFor = (path: string) =>
      events.filter(one => one.messageId === id && one.forwardPath === path).map(one => one.type)
    assert.deepEqual(typesFor(to), ['delivered'])
    for (const path of all.slice(1)) {
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
    const expected = [to, to, to, to, `carol@${grey.domain}`, `dave@${grey.domain}`].sort()
    let mails = await postfix.received()
    const arrived = () => mails.flatMap(mail => mail.rcptTo).sort()
    while (arrived().length < expected.length) mails = await postfix.waitFor(mails.length + 1)
    assert.deepEqual(arrived(), expected)
  })
})

// What ESMTP extensions mean between two real servers: recipients refused one by one, SIZE, SMTPUTF8, DSN parameters,
// PIPELINING. Postfix, Exim, OpenSMTPD, sendmail and smtp-server receive; what they pass on shows what they understood.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClientReply, queuedId, type SmtpClient } from '../scenario/support/client.ts'
import { House, message, type ShownEvent, waitForAll, waitForEvents } from '../scenario/support/house.ts'
import {
  type ReceivedMail,
  type Receiver,
  startEximReceiver,
  startOpenSmtpdReceiver,
  startPostfixReceiver,
  startSendmailReceiver,
  startSmtpServerReceiver,
} from '../support/peers/index.ts'
import { Hosts } from './support/hosts.ts'
import { type MailNetwork, startMailNetwork, zoneWithMx } from './support/mail-network.ts'
import { needs } from './support/needs.ts'

const hosts = {
  'postfix.test': '127.0.0.51',
  'exim.test': '127.0.0.52',
  'opensmtpd.test': '127.0.0.53',
  'sendmail.test': '127.0.0.56',
  'smtp-server.test': '127.0.0.57',
  /** In front of the servers with PIPELINING, holding the answer to MAIL back. */
  'held-postfix.test': '127.0.0.54',
  'held-exim.test': '127.0.0.58',
  'held-sendmail.test': '127.0.0.59',
  'held-smtp-server.test': '127.0.0.61',
  /** In front of OpenSMTPD, to see what is written in one go. */
  'seen-opensmtpd.test': '127.0.0.62',
  /** Postfix that offers neither PIPELINING nor SIZE and judges whoever talks early. */
  'stepwise.test': '127.0.0.55',
  /** Without 8BITMIME. */
  'exim-7bit.test': '127.0.0.63',
  /** smtp-server without 8BITMIME, SIZE, PIPELINING and SMTPUTF8. */
  'lean.test': '127.0.0.64',
} as const
type Domain = keyof typeof hosts

/** What all of them announce with SIZE, but for those that keep it to themselves. */
const sizeBytes = 65_536

/** Users ending in 0 or 7 are unknown, those ending in 5 are over quota. */
const postfixRules = [
  // Its default of 20 errors before it hangs up with 421 stays; only the sleep before each answer goes.
  'smtpd_error_sleep_time = 0',
  `message_size_limit = ${sizeBytes}`,
  'smtpd_recipient_restrictions = check_recipient_access regexp:{ {/^user[0-9]*[07]@/ 550 5.1.1 no such user here}, {/^user[0-9]*5@/ 452 4.2.2 mailbox full} }',
  'smtpd_data_restrictions = reject_unauth_pipelining',
].join('\n')
const stepwiseRules = [
  'smtpd_discard_ehlo_keywords = pipelining, chunking, size',
  `message_size_limit = ${sizeBytes}`,
  'smtpd_helo_restrictions = reject_unauth_pipelining',
  'smtpd_sender_restrictions = reject_unauth_pipelining',
  'smtpd_recipient_restrictions = reject_unauth_pipelining',
  'smtpd_data_restrictions = reject_unauth_pipelining',
].join('\n')

type Name = 'postfix' | 'exim' | 'opensmtpd' | 'sendmail' | 'smtp-server'

interface Stage {
  readonly network: MailNetwork
  readonly house: House
  readonly client: SmtpClient
  readonly receivers: Readonly<Record<Name | 'stepwise' | 'exim-7bit' | 'lean', Receiver>>
  readonly seen: Hosts
}

const pipelining = ['postfix', 'exim', 'sendmail', 'smtp-server'] as const

async function openStage(owned: AsyncDisposableStack): Promise<Stage> {
  const zones = Object.entries(hosts).map(([domain, address]) => zoneWithMx(domain, address))
  const network = owned.use(await startMailNetwork({ zones }))
  const at = (domain: Domain) => ({ listenAddress: hosts[domain], port: network.mxPort })
  const receivers = {
    postfix: owned.use(await startPostfixReceiver({ ...at('postfix.test'), extraMainCf: postfixRules })),
    exim: owned.use(
      await startEximReceiver({ ...at('exim.test'), extraMain: `message_size_limit = ${sizeBytes}` }),
    ),
    opensmtpd: owned.use(await startOpenSmtpdReceiver({ ...at('opensmtpd.test'), sizeBytes })),
    sendmail: owned.use(
      await startSendmailReceiver({
        ...at('sendmail.test'),
        extraMc: `define(\`confMAX_MESSAGE_SIZE', \`${sizeBytes}')`,
      }),
    ),
    'smtp-server': owned.use(await startSmtpServerReceiver({ ...at('smtp-server.test'), sizeBytes })),
    stepwise: owned.use(await startPostfixReceiver({ ...at('stepwise.test'), extraMainCf: stepwiseRules })),
    'exim-7bit': owned.use(
      await startEximReceiver({ ...at('exim-7bit.test'), extraMain: 'accept_8bitmime = false' }),
    ),
    lean: owned.use(await startSmtpServerReceiver({ ...at('lean.test'), sizeBytes, isLean: true })),
  }
  const { mxPort: port } = network
  for (const name of pipelining)
    owned.use(
      await Hosts.start({
        addresses: [hosts[`held-${name}.test`]],
        port,
        to: receivers[name],
        holdsMailReply: true,
      }),
    )
  const seen = owned.use(
    await Hosts.start({ addresses: [hosts['seen-opensmtpd.test']], port, to: receivers.opensmtpd }),
  )
  const house = owned.use(await House.open(`${network.toml}idle_connection = "1s"\n`))
  return { network, house, client: owned.use(await house.client()), receivers, seen }
}

/** The mails that came for any recipient that starts with `prefix`. */
async function mailsFor(receiver: Receiver, prefix: string): Promise<ReceivedMail[]> {
  return (await receiver.received()).filter(mail => mail.rcptTo.some(to => to.startsWith(prefix)))
}

/** Waits until at least `count` recipients that start with `prefix` have come. */
async function recipientsThatCame(receiver: Receiver, prefix: string, count: number): Promise<string[]> {
  for (let seen = 0; ; ) {
    const mails = await receiver.waitFor(seen + 1)
    seen = mails.length
    const came = mails.flatMap(mail => mail.rcptTo).filter(to => to.startsWith(prefix))
    if (came.length >= count) return came.sort()
  }
}

/** Outcomes of a message by recipient, once each recipient has one. */
async function outcomes(house: House, id: string, count: number): Promise<ReadonlyMap<string, ShownEvent>> {
  const ofMessage = (events: readonly ShownEvent[]): Map<string, ShownEvent> =>
    new Map(
      events
        .filter(event => event.messageId === id && event.outcome !== undefined)
        .map(event => [event.forwardPath ?? '', event]),
    )
  return ofMessage(await waitForEvents(house.server, events => ofMessage(events).size >= count))
}

const needed = await needs('postfix', 'exim', 'opensmtpd', 'sendmail', 'm4', 'knot', 'unbound')

test('extensions are used as real servers mean them', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const stage = await openStage(owned)
  const { house, client, receivers, seen } = stage

  await context.test(
    'of 100 recipients each gets its own answer, though Postfix hangs up after 20 refusals',
    async () => {
      const to = Array.from({ length: 100 }, (_, index) => `user${index}@postfix.test`)
      const id = queuedId(await client.send('ann@acme.example', to, message()))
      const found = await outcomes(house, id, 100)
      const expected = (path: string): string =>
        /[07]@/.test(path)
          ? 'bounced 550 5.1.1'
          : /5@/.test(path)
            ? 'deferred 452 4.2.2'
            : 'delivered 250 2.0.0'
      const said = (path: string): string => {
        const { kind, code, enhancedCode } = found.get(path)!.outcome!
        return `${kind} ${code} ${enhancedCode}`
      }
      assert.deepEqual(to.map(said), to.map(expected))
      const bounced = found.get('user7@postfix.test')!.outcome!
      assert.equal(bounced.stage, 'rcpt')
      assert.equal(bounced.scope, 'recipient')
      assert.match(bounced.text, /no such user here/)
      const taken = to.filter(path => expected(path).startsWith('delivered'))
      assert.deepEqual(await recipientsThatCame(receivers.postfix, 'user', taken.length), taken.sort())
      assert.match(
        await receivers.postfix.log(),
        new RegExp(`from=<ann@acme\\.example>, .*nrcpt=${taken.length} `),
      )
    },
  )

  for (const name of ['exim', 'opensmtpd', 'sendmail', 'smtp-server'] as const)
    await context.test(`${name} takes 100 recipients in one message`, async () => {
      const to = Array.from({ length: 100 }, (_, index) => `crowd${index}@${name}.test`)
      const id = queuedId(await client.send('ann@acme.example', to, message()))
      const found = await outcomes(house, id, 100)
      assert.deepEqual(new Set([...found.values()].map(event => event.type)), new Set(['delivered']))
      assert.deepEqual(await recipientsThatCame(receivers[name], 'crowd', 100), to.sort())
      const texts = new Set([...found.values()].map(event => event.outcome!.text))
      assert.equal(texts.size, 1, 'one transaction, one reply to the content')
    })

  await context.test('OpenSMTPD’s refusal of one address leaves the others alone', async () => {
    const to = ['"quoted one"@opensmtpd.test', 'plain@opensmtpd.test']
    const found = await outcomes(house, queuedId(await client.send('ann@acme.example', to, message())), 2)
    const refused = found.get(to[0]!)!.outcome!
    assert.deepEqual([refused.kind, refused.code, refused.stage], ['bounced', 501, 'rcpt'])
    assert.equal(found.get(to[1]!)!.type, 'delivered')
  })

  const large = message([], `${'x'.repeat(70)}\r\n`.repeat(1000))
  for (const name of ['postfix', 'exim', 'opensmtpd', 'sendmail', 'smtp-server'] as const)
    await context.test(
      `a message above the SIZE that ${name} announces bounces without being sent`,
      async () => {
        const to = `large@${name}.test`
        const id = queuedId(await client.send('ann@acme.example', to, large))
        const { outcome } = (await outcomes(house, id, 1)).get(to)!
        const { kind, code, enhancedCode, stage, scope, text } = outcome!
        assert.deepEqual(
          [kind, code, enhancedCode, stage, scope],
          ['bounced', 552, '5.3.4', 'mail', 'content'],
        )
        assert.match(text, new RegExp(`the recipient's server takes ${sizeBytes};`))
        assert.deepEqual(await mailsFor(receivers[name], 'large'), [])
        assert.doesNotMatch(
          await receivers[name].log(),
          /size exceeds|exceeds fixed maximum|too (?:big|large)/i,
        )
      },
    )

  for (const [name, title] of [
    ['stepwise', 'Postfix'],
    ['lean', 'smtp-server'],
  ] as const)
    await context.test(
      `${title} that announces no SIZE refuses a large message behind its content: bounced`,
      async () => {
        const to = `large@${name}.test`
        const id = queuedId(await client.send('ann@acme.example', to, large))
        const { kind, code, stage, scope, category } = (await outcomes(house, id, 1)).get(to)!.outcome!
        assert.deepEqual(
          [kind, code, stage, scope, category],
          ['bounced', 552, 'data', 'content', 'message-too-large'],
        )
        assert.deepEqual(await mailsFor(receivers[name], 'large'), [])
      },
    )

  for (const name of ['exim-7bit', 'lean'] as const)
    await context.test(`${name}, without 8BITMIME, gets 8-bit content in 7 bits`, async () => {
      const content = message(
        ['MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit'],
        'Grüße',
      )
      const mail = ' BODY=8BITMIME'
      const id = queuedId(await client.send('ann@acme.example', `eight@${name}.test`, content, { mail }))
      await waitForAll(house.server, [id], 'delivered')
      await recipientsThatCame(receivers[name], 'eight', 1)
      const [came] = await mailsFor(receivers[name], 'eight')
      assert.doesNotMatch(came!.mailParameters, /BODY=8BITMIME/)
      const text = came!.bytes.toString('latin1')
      assert.match(text, /^Content-Transfer-Encoding: quoted-printable\r\n[\s\S]*\r\nGr=C3=BC=C3=9Fe\r\n$/m)
      assert.doesNotMatch(text, /[\x80-\xff]/)
    })

  for (const name of ['postfix', 'exim', 'smtp-server'] as const)
    await context.test(`a UTF-8 recipient and header reach ${name} with SMTPUTF8`, async () => {
      const to = `jürgen@${name}.test`
      const id = queuedId(await sendUtf8(client, to, 'Grüße'))
      await waitForAll(house.server, [id], 'delivered')
      await recipientsThatCame(receivers[name], 'jürgen', 1)
      const [mail] = await mailsFor(receivers[name], 'jürgen')
      assert.match(mail!.mailParameters, /\bSMTPUTF8\b/)
      assert.ok(mail!.bytes.includes('Subject: Grüße\r\n'))
    })

  for (const name of ['opensmtpd', 'sendmail'] as const)
    await context.test(
      `${name}, without SMTPUTF8, gets what needs none, and the rest bounces with 5.6.7`,
      async () => {
        const toUtf8 = `jürgen@${name}.test`
        const toHeader = `header@${name}.test`
        const recipient = await sendUtf8(client, toUtf8, 'Greetings')
        const header = await sendUtf8(client, toHeader, 'Grüße')
        const nothing = await sendUtf8(client, `nothing@${name}.test`, 'Greetings')
        const refused = (await outcomes(house, queuedId(recipient), 1)).get(toUtf8)!.outcome!
        assert.deepEqual(
          [refused.kind, refused.enhancedCode, refused.scope],
          ['bounced', '5.6.7', 'recipient'],
        )
        const other = (await outcomes(house, queuedId(header), 1)).get(toHeader)!.outcome!
        assert.deepEqual([other.kind, other.enhancedCode, other.scope], ['bounced', '5.6.7', 'content'])
        await waitForAll(house.server, [queuedId(nothing)], 'delivered')
        await recipientsThatCame(receivers[name], 'nothing', 1)
      },
    )

  for (const name of ['postfix', 'exim', 'opensmtpd', 'sendmail', 'smtp-server'] as const)
    await context.test(`DSN parameters reach ${name} and go on from there`, async () => {
      const mail = ' RET=HDRS ENVID=QQ+2B314'
      const rcpt = ` NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bx@${name}.test`
      const to = `dsn@${name}.test`
      const id = queuedId(await client.send('ann@acme.example', to, message(), { mail, rcpt }))
      await waitForAll(house.server, [id], 'delivered')
      await recipientsThatCame(receivers[name], 'dsn', 1)
      const [came] = await mailsFor(receivers[name], 'dsn')
      assert.match(came!.mailParameters, /\bRET=HDRS\b/)
      assert.match(came!.mailParameters, /\bENVID=QQ\+2B314(?: |$)/)
      assert.match(came!.rcptParameters[0]!, /\bNOTIFY=SUCCESS,FAILURE\b/)
      assert.ok(came!.rcptParameters[0]!.includes(`ORCPT=rfc822;bob+2Bx@${name}.test`))
    })

  for (const name of pipelining)
    await context.test(
      `commands to ${name} are pipelined: RCPT is sent before MAIL is answered`,
      async () => {
        const id = queuedId(await client.send('ann@acme.example', `mail@held-${name}.test`, message()))
        await waitForAll(house.server, [id], 'delivered')
        await recipientsThatCame(receivers[name], 'mail@held', 1)
      },
    )

  await context.test('OpenSMTPD, without PIPELINING, gets one command at a time', async () => {
    const to = ['a@seen-opensmtpd.test', 'b@seen-opensmtpd.test']
    const id = queuedId(await client.send('ann@acme.example', to, message()))
    await waitForAll(house.server, [id], 'delivered')
    const commands = seen.writes.filter(text => /^(?:MAIL|RCPT|DATA)/.test(text))
    assert.deepEqual(
      commands.map(text => text.replace(/ .*/, '')),
      ['MAIL\r\n', 'RCPT\r\n', 'RCPT\r\n', 'DATA\r\n'],
    )
  })

  await context.test('a server without PIPELINING is spoken to one command at a time', async () => {
    const id = queuedId(
      await client.send('ann@acme.example', ['a@stepwise.test', 'b@stepwise.test'], message()),
    )
    await waitForAll(house.server, [id], 'delivered')
    assert.deepEqual(await recipientsThatCame(receivers.stepwise, '', 2), [
      'a@stepwise.test',
      'b@stepwise.test',
    ])
    for (const receiver of [receivers.postfix, receivers.stepwise])
      assert.doesNotMatch(await receiver.log(), /improper command pipelining/)
  })
})

function sendUtf8(client: SmtpClient, to: string, subject: string): Promise<ClientReply> {
  const content = message().replace('Subject: a scenario', `Subject: ${subject}`)
  return client.send('ann@acme.example', to, content, { mail: ' BODY=8BITMIME SMTPUTF8' })
}

// What ESMTP extensions mean between two real servers: recipients refused one by one, SIZE, 8BITMIME, SMTPUTF8, DSN
// parameters, PIPELINING. Postfix, Exim, OpenSMTPD, sendmail and smtp-server receive; what they pass on shows what they
// understood. What each can do (`support/capabilities.ts`) is tested in the clear and over STARTTLS.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queuedId, type SmtpClient } from '../scenario/support/client.ts'
import { House, message, waitForAll } from '../scenario/support/house.ts'
import {
  type Certificate,
  makeCertificate,
  makeCertificateAuthority,
  type Receiver,
  type ReceiverOptions,
  Scratch,
  startEximReceiver,
  startOpenSmtpdReceiver,
  startPostfixReceiver,
  startSendmailReceiver,
  startSmtpServerReceiver,
} from '../support/peers/index.ts'
import {
  capabilities,
  eightBitMessage,
  largeMessage,
  type ServerName,
  type Site,
  serverNames,
  sizeBytes,
} from './support/capabilities.ts'
import { Hosts } from './support/hosts.ts'
import { startMailNetwork, zoneWithMx } from './support/mail-network.ts'
import { needs } from './support/needs.ts'
import { mailsFor, mailThatCame, outcomes, recipientsThatCame } from './support/what-became.ts'

const hosts = {
  'postfix.test': '127.0.0.51',
  'exim.test': '127.0.0.52',
  'opensmtpd.test': '127.0.0.53',
  'sendmail.test': '127.0.0.56',
  'smtp-server.test': '127.0.0.57',
  /** The same with STARTTLS. */
  'postfix-tls.test': '127.0.0.81',
  'exim-tls.test': '127.0.0.82',
  'opensmtpd-tls.test': '127.0.0.83',
  'sendmail-tls.test': '127.0.0.84',
  'smtp-server-tls.test': '127.0.0.85',
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

const starts: Readonly<Record<ServerName, (at: ReceiverOptions) => Promise<Receiver>>> = {
  postfix: at => startPostfixReceiver({ ...at, extraMainCf: postfixRules }),
  exim: at => startEximReceiver({ ...at, extraMain: `message_size_limit = ${sizeBytes}` }),
  opensmtpd: at => startOpenSmtpdReceiver({ ...at, sizeBytes }),
  sendmail: at =>
    startSendmailReceiver({ ...at, extraMc: `define(\`confMAX_MESSAGE_SIZE', \`${sizeBytes}')` }),
  'smtp-server': at => startSmtpServerReceiver({ ...at, sizeBytes }),
}

type Servers = Readonly<Record<ServerName, Receiver>>

interface Stage {
  readonly house: House
  readonly client: SmtpClient
  readonly sites: readonly Site[]
  readonly receivers: Servers & Readonly<Record<'stepwise' | 'exim-7bit' | 'lean', Receiver>>
  readonly seen: Hosts
}

const pipelining = ['postfix', 'exim', 'sendmail', 'smtp-server'] as const

async function openStage(owned: AsyncDisposableStack): Promise<Stage> {
  const zones = Object.entries(hosts).map(([domain, address]) => zoneWithMx(domain, address))
  const network = owned.use(await startMailNetwork({ zones }))
  const { mxPort: port } = network
  const at = (domain: Domain) => ({ listenAddress: hosts[domain], port })
  const startAll = async (ending: '' | '-tls', more: { readonly tls?: Certificate }): Promise<Servers> => {
    const start = async (name: ServerName) =>
      owned.use(await starts[name]({ ...at(`${name}${ending}.test`), ...more }))
    return {
      postfix: await start('postfix'),
      exim: await start('exim'),
      opensmtpd: await start('opensmtpd'),
      sendmail: await start('sendmail'),
      'smtp-server': await start('smtp-server'),
    }
  }
  const overTls = await startAll('-tls', { tls: await selfSigned(owned) })
  const inClear = await startAll('', {})
  const receivers = {
    ...inClear,
    stepwise: owned.use(await startPostfixReceiver({ ...at('stepwise.test'), extraMainCf: stepwiseRules })),
    'exim-7bit': owned.use(
      await startEximReceiver({ ...at('exim-7bit.test'), extraMain: 'accept_8bitmime = false' }),
    ),
    lean: owned.use(await startSmtpServerReceiver({ ...at('lean.test'), sizeBytes, isLean: true })),
  }
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
  const sites: Site[] = []
  for (const name of serverNames)
    for (const [receiver, isTls, domain] of [
      [inClear[name], false, `${name}.test`],
      [overTls[name], true, `${name}-tls.test`],
    ] as const)
      sites.push({ name, receiver, isTls, domain, house, client: owned.use(await house.client()) })
  return { house, client: owned.use(await house.client()), sites, receivers, seen }
}

async function selfSigned(owned: AsyncDisposableStack): Promise<Certificate> {
  const directory = owned.use(await Scratch.create('extensions')).path
  const ca = await makeCertificateAuthority({ directory })
  return await makeCertificate({ directory, names: ['somebody.else.test'], ca })
}

const needed = await needs('postfix', 'exim', 'opensmtpd', 'sendmail', 'm4', 'knot', 'unbound', 'openssl')

test('extensions are used as real servers mean them', { ...needed, concurrency: true }, async context => {
  await using owned = new AsyncDisposableStack()
  const { house, client, sites, receivers, seen } = await openStage(owned)

  // At all of them at once, since most of the time is waiting.
  await Promise.all(
    sites.map(site =>
      context.test(`${site.name} ${site.isTls ? 'over STARTTLS' : 'in the clear'}`, async one => {
        for (const row of capabilities)
          if (row.servers.includes(site.name)) await one.test(row.title, () => row.assert(site))
      }),
    ),
  )

  for (const [name, title] of [
    ['stepwise', 'Postfix'],
    ['lean', 'smtp-server'],
  ] as const)
    await context.test(
      `${title} that announces no SIZE refuses a large message behind its content: bounced`,
      async () => {
        const to = `large@${name}.test`
        const id = queuedId(await client.send('ann@acme.example', to, largeMessage))
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
      const mail = ' BODY=8BITMIME'
      const id = queuedId(
        await client.send('ann@acme.example', `eight@${name}.test`, eightBitMessage, { mail }),
      )
      await waitForAll(house.server, [id], 'delivered')
      const came = await mailThatCame(receivers[name], 'eight')
      assert.doesNotMatch(came.mailParameters, /BODY=8BITMIME/)
      const text = came.bytes.toString('latin1')
      assert.match(text, /^Content-Transfer-Encoding: quoted-printable\r\n[\s\S]*\r\nGr=C3=BC=C3=9Fe\r\n$/m)
      assert.doesNotMatch(text, /[\x80-\xff]/)
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

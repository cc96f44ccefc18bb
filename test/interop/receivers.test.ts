// Debian's Postfix, Exim and OpenSMTPD as recipients' servers, found by MX through Unbound and Knot.
//
// With STARTTLS and without, by BDAT and by DATA, each sample of the corpus must come out below our own fields as the
// same bytes. The servers' own logs are the witness of what was used on the way.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queuedId } from '../scenario/support/client.ts'
import { House, type ShownMessage, typesOf, waitForAll } from '../scenario/support/house.ts'
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
} from '../support/peers/index.ts'
import { assertArrived } from './support/arrived.ts'
import { corpus, stuffed } from './support/corpus.ts'
import { startMailNetwork, zoneWithMx } from './support/mail-network.ts'
import { needs } from './support/needs.ts'

/** A recipients' server of these tests. */
interface Kind {
  readonly name: string
  readonly domain: string
  readonly address: string
  readonly start: (options: ReceiverOptions) => Promise<Receiver>
  readonly hasTls: boolean
  /** What its log must show, and must not show, after the corpus. */
  readonly shows: readonly RegExp[]
  readonly hides: readonly RegExp[]
}

const bare = 'smtpd_discard_ehlo_keywords = chunking, pipelining, dsn, smtputf8, size'

const kinds: readonly Kind[] = [
  {
    name: 'Postfix with STARTTLS',
    domain: 'postfix-tls.test',
    address: '127.0.0.21',
    start: startPostfixReceiver,
    hasTls: true,
    shows: [/disconnect from .* starttls=1 .*bdat=\d/],
    hides: [/ data=/, /improper command pipelining/],
  },
  {
    name: 'Postfix without STARTTLS',
    domain: 'postfix.test',
    address: '127.0.0.22',
    start: startPostfixReceiver,
    hasTls: false,
    shows: [/disconnect from .* bdat=\d/],
    hides: [/starttls=/, / data=/, /improper command pipelining/],
  },
  {
    name: 'Postfix that offers little more than 8BITMIME',
    domain: 'postfix-bare.test',
    address: '127.0.0.23',
    start: options => startPostfixReceiver({ ...options, extraMainCf: bare }),
    hasTls: false,
    shows: [/disconnect from .* data=\d/],
    hides: [/starttls=/, /bdat=/, /improper command pipelining/],
  },
  {
    name: 'Exim with STARTTLS',
    domain: 'exim-tls.test',
    address: '127.0.0.24',
    start: startEximReceiver,
    hasTls: true,
    shows: [/<= ann@acme\.example .*P=esmtps X=TLS1\.3:.* K /],
    hides: [/P=esmtp /, /synchronization error/],
  },
  {
    name: 'Exim without STARTTLS',
    domain: 'exim.test',
    address: '127.0.0.25',
    start: startEximReceiver,
    hasTls: false,
    shows: [/<= ann@acme\.example .*P=esmtp K /],
    hides: [/P=esmtps/, /synchronization error/],
  },
  {
    name: 'OpenSMTPD without STARTTLS',
    domain: 'opensmtpd.test',
    address: '127.0.0.26',
    start: startOpenSmtpdReceiver,
    hasTls: false,
    shows: [/smtp message .*proto=ESMTP\b[\s\S]*smtp disconnected reason=quit/],
    hides: [/smtp tls/, /failed-command/],
  },
]

/** Debian's OpenSMTPD offers STARTTLS and fails each handshake (see its launcher). */
const broken = { domain: 'broken-tls.test', address: '127.0.0.27' } as const

/** Connections end soon, so that the servers write their last line about them. */
const settings = [
  'idle_connection = "1s"',
  'tls_fallback_after = "3s"',
  '[retry]',
  'schedule = ["1s"]',
  '',
].join('\n')

const needed = await needs('postfix', 'exim', 'opensmtpd', 'knot', 'unbound', 'openssl')

test('recipients’ servers found by MX take every content unchanged', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const tls = await selfSigned(owned)
  const zones = [...kinds, broken].map(kind => zoneWithMx(kind.domain, kind.address))
  const network = owned.use(await startMailNetwork({ zones }))
  const house = owned.use(await House.open(network.toml + settings))
  const client = owned.use(await house.client())

  for (const kind of kinds) {
    await context.test(kind.name, async () => {
      const at = { listenAddress: kind.address, port: network.mxPort }
      await using receiver = await kind.start(kind.hasTls ? { ...at, tls } : at)
      const ids: string[] = []
      for (const [index, { content, isEightBit }] of corpus.entries()) {
        const body = isEightBit ? ' BODY=8BITMIME' : ''
        const to = `sample${index}@${kind.domain}`
        ids.push(queuedId(await client.send('ann@acme.example', to, stuffed(content), { mail: body })))
      }
      await waitForAll(house.server, ids, 'delivered')
      const mails = await receiver.waitFor(corpus.length)
      assert.equal(mails.length, corpus.length)
      for (const [index, { name, content }] of corpus.entries()) {
        const mail = mails.find(one => one.rcptTo.includes(`sample${index}@${kind.domain}`))
        assert.ok(mail !== undefined, `no mail: ${name}`)
        assert.equal(mail.envelopeFrom, 'ann@acme.example')
        assertArrived(mail.bytes, content, name)
      }
      const log = await logThatShows(receiver, kind.shows)
      for (const pattern of kind.hides) assert.doesNotMatch(log, pattern)
      const shown = await house.server.json<ShownMessage & Record<string, never>>('message', 'show', ids[0]!)
      assert.equal(shown.recipients[0]!.outcome!.remoteHost, `mx.${kind.domain}`)
      assert.match(String(shown.recipients[0]!.outcome!.tls), kind.hasTls ? /^TLSv1\.3 / : /^$/)
    })
  }

  await context.test(
    'a server whose STARTTLS fails gets clear text only after the configured time',
    async () => {
      const at = { listenAddress: broken.address, port: network.mxPort }
      await using receiver = await startOpenSmtpdReceiver({ ...at, tls })
      const [{ content }] = corpus as [(typeof corpus)[number]]
      const reply = await client.send('ann@acme.example', `bob@${broken.domain}`, stuffed(content))
      const id = queuedId(reply)
      const events = await waitForAll(house.server, [id], 'delivered')
      const types = typesOf(events, id)
      assert.deepEqual([types[0], types.at(-1)], ['accepted', 'delivered'])
      assert.ok(types.length > 2 && types.slice(1, -1).every(type => type === 'deferred'), types.join())
      const deferred = events.find(event => event.messageId === id && event.type === 'deferred')
      assert.equal(deferred?.outcome?.stage, 'starttls')
      const [mail] = await receiver.waitFor(1)
      assertArrived(mail!.bytes, content)
    },
  )
})

async function selfSigned(owned: AsyncDisposableStack): Promise<Certificate> {
  const directory = owned.use(await Scratch.create('receivers')).path
  const ca = await makeCertificateAuthority({ directory })
  return await makeCertificate({ directory, names: ['somebody.else.test'], ca })
}

/** The log, once all patterns are in it. */
async function logThatShows(receiver: Receiver, patterns: readonly RegExp[]): Promise<string> {
  for (let tries = 0; ; tries++) {
    const log = await receiver.log()
    const absent = patterns.filter(pattern => !pattern.test(log))
    if (absent.length === 0) return log
    if (tries === 100)
      assert.fail(`the log of ${receiver.name} lacks ${absent.join(' and ')}:\n${log.slice(-4000)}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

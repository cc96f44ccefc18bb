// Servers that take nothing in clear text. OpenSMTPD as Debian installs it is one whose TLS is broken (see its launcher):
// what is for it waits, goes to another MX host over TLS, and never leaves in clear text. OpenSMTPD whose TLS works,
// Postfix and Exim get it over TLS, with a certificate of nobody and with one that has ended.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queuedId, SmtpClient } from '../scenario/support/client.ts'
import {
  House,
  message,
  type ShownEvent,
  type ShownOutcome,
  waitForEvents,
} from '../scenario/support/house.ts'
import {
  type Certificate,
  makeCertificate,
  makeCertificateAuthority,
  type Receiver,
  Scratch,
  startEximReceiver,
  startOpenSmtpdReceiver,
  startPostfixReceiver,
} from '../support/peers/index.ts'
import { startMailNetwork, zoneWithMx } from './support/mail-network.ts'
import { needs } from './support/needs.ts'

const addresses = {
  broken: '127.0.0.71',
  postfix: '127.0.0.72',
  exim: '127.0.0.73',
  opensmtpd: '127.0.0.74',
} as const
/** After this a message to a host whose TLS fails may go in clear text. */
const fallbackMs = 3_000
const settings = `tls_fallback_after = "${fallbackMs / 1000}s"\n[retry]\nschedule = ["1s"]\n`

interface Certificates {
  readonly good: Certificate
  readonly ended: Certificate
}

async function makeCertificates(owned: AsyncDisposableStack): Promise<Certificates> {
  const directory = owned.use(await Scratch.create('tls-only')).path
  const ca = await makeCertificateAuthority({ directory })
  const good = await makeCertificate({ directory, names: ['somebody.else.test'], ca })
  const ended = await makeCertificate({ directory, names: ['mx.exim.test'], ca, days: -1 })
  return { good, ended }
}

/** All outcomes of a message, in order, once they are as wanted. */
async function outcomesUntil(
  house: House,
  id: string,
  isDone: (outcomes: readonly ShownOutcome[]) => boolean,
): Promise<readonly ShownOutcome[]> {
  const of = (events: readonly ShownEvent[]): ShownOutcome[] =>
    events.flatMap(one => (one.messageId === id && one.outcome !== undefined ? [one.outcome] : []))
  return of(await waitForEvents(house.server, events => isDone(of(events))))
}

const needed = await needs('postfix', 'exim', 'opensmtpd', 'knot', 'unbound', 'openssl')

test('servers that take nothing in clear text', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const { good, ended } = await makeCertificates(owned)
  const network = owned.use(
    await startMailNetwork({
      zones: [
        ...Object.entries(addresses).map(([name, address]) => zoneWithMx(`${name}.test`, address)),
        { name: 'two.test', records: ['@ MX 10 mx.broken.test.', '@ MX 20 mx.postfix.test.'] },
      ],
    }),
  )
  const at = (name: keyof typeof addresses) => ({ listenAddress: addresses[name], port: network.mxPort })
  const broken = owned.use(
    await startOpenSmtpdReceiver({ ...at('broken'), tls: good, isTlsOnly: true, isTlsBroken: true }),
  )
  const opensmtpd = owned.use(
    await startOpenSmtpdReceiver({ ...at('opensmtpd'), tls: good, isTlsOnly: true }),
  )
  const postfix = owned.use(
    await startPostfixReceiver({
      ...at('postfix'),
      tls: good,
      extraMainCf: 'smtpd_tls_security_level = encrypt',
    }),
  )
  const exim = owned.use(
    await startEximReceiver({
      ...at('exim'),
      tls: ended,
      rcptAcl: '  deny\n    message = Must issue a STARTTLS command first\n    !encrypted = *',
    }),
  )
  const route = (tls: 'required' | 'verified', to: string): string =>
    `[[route]]\nrecipient_domain = "${tls}.test"\nsmarthost = "${to}:${network.mxPort}"\ntls = "${tls}"\n`
  const routes = `${route('required', addresses.broken)}${route('verified', addresses.exim)}`
  const house = owned.use(await House.open(`${network.toml}${settings}${routes}`))
  const client = owned.use(await house.client())
  const send = async (to: string): Promise<string> =>
    queuedId(await client.send('ann@acme.example', to, message()))

  await context.test(
    'OpenSMTPD with broken TLS indeed takes nothing in clear text, and fails a handshake',
    async () => {
      await using plain = await SmtpClient.connect(network.mxPort, { host: addresses.broken })
      assert.ok((await plain.hello()).includes('STARTTLS'))
      const refused = await plain.command('MAIL FROM:<ann@acme.example>')
      assert.match(refused.text, /^530 5\.\d\.\d .*STARTTLS/)
      await assert.rejects(plain.startTls())
    },
  )

  await context.test(
    'its mail waits for TLS, is told why in clear text after the configured time, and does not bounce',
    async () => {
      const id = await send('bob@broken.test')
      const all = await outcomesUntil(house, id, found => found.some(one => one.stage === 'mail'))
      assert.deepEqual(new Set(all.map(one => one.kind)), new Set(['deferred']))
      assert.equal(all[0]!.stage, 'starttls')
      const told = all.at(-1)!
      assert.equal(told.code, 530)
      assert.match(told.text, /STARTTLS/)
      assert.deepEqual(await broken.received(), [])
    },
  )

  await context.test('with TLS required by the route it never speaks to it in clear text', async () => {
    const id = await send('bob@required.test')
    const all = await outcomesUntil(house, id, found => found.length >= 5)
    assert.deepEqual(new Set(all.map(one => `${one.kind} ${one.stage}`)), new Set(['deferred starttls']))
  })

  await context.test('a second MX host gets the mail over TLS at once', async () => {
    const id = await send('bob@two.test')
    const [outcome] = await outcomesUntil(house, id, found => found.length >= 1)
    assert.deepEqual([outcome!.kind, outcome!.remoteHost], ['delivered', 'mx.postfix.test'])
    await assertOverTls(postfix, outcome!)
  })

  await context.test('OpenSMTPD whose TLS works gets the mail over TLS', async () => {
    const id = await send('bob@opensmtpd.test')
    const [outcome] = await outcomesUntil(house, id, found => found.length >= 1)
    assert.equal(outcome!.kind, 'delivered', outcome!.text)
    await assertOverTls(opensmtpd, outcome!)
  })

  await context.test(
    'Postfix that demands TLS gets the mail over TLS, whoever signed its certificate',
    async () => {
      const id = await send('bob@postfix.test')
      const [outcome] = await outcomesUntil(house, id, found => found.length >= 1)
      assert.equal(outcome!.kind, 'delivered', outcome!.text)
      await assertOverTls(postfix, outcome!)
    },
  )

  await context.test(
    'Exim that demands TLS gets the mail over TLS, though its certificate has ended',
    async () => {
      const id = await send('bob@exim.test')
      const [outcome] = await outcomesUntil(house, id, found => found.length >= 1)
      assert.equal(outcome!.kind, 'delivered', outcome!.text)
      await assertOverTls(exim, outcome!)
    },
  )

  await context.test('a route that verifies does not take a certificate that has ended', async () => {
    const id = await send('bob@verified.test')
    const all = await outcomesUntil(house, id, found => found.length >= 5)
    assert.deepEqual(new Set(all.map(one => `${one.kind} ${one.stage}`)), new Set(['deferred starttls']))
    assert.match(all[0]!.text, /CERT_HAS_EXPIRED/)
    assert.equal((await exim.received()).length, 1)
  })
})

/** Both sides say that it was TLS. */
async function assertOverTls(receiver: Receiver, outcome: ShownOutcome): Promise<void> {
  assert.match(String(outcome.tls), /^TLSv1\.3 /)
  const mails = await receiver.waitFor(1)
  for (const { trace } of mails) assert.match(trace.toString('latin1'), /with esmtps\b/i)
}

// Debian's Postfix, Exim, OpenSMTPD and sendmail, and npm's smtp-server, as recipients' servers found by MX through
// Unbound and Knot: every mail of the corpus must come out of them as the bytes that went into Postrider.
//
// The plan:
//   1. each mail is handed in once, with a recipient at every server (all over one session; DATA and BDAT in turn), and
//      one at a recorder that takes no mail apart: what it got is what Postrider sends;
//   2. there, below the fields that we put in front, stand the bytes that were handed in; a second recorder puts each
//      recipient off once, so that the mail is read back from the disk, and must get the same;
//   3. what comes out of each server, below its own trace field, is what the recorder got, byte for byte;
//   4. where it is not, the recorder's bytes are handed to the server directly: it must change them in the same way,
//      and the table of programs must say so. The servers' own logs are the witness of which way the bytes took.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClientReply, queuedId, SmtpClient } from '../scenario/support/client.ts'
import { House, typesOf, waitForAll, waitForEvents } from '../scenario/support/house.ts'
import {
  type Certificate,
  makeCertificate,
  makeCertificateAuthority,
  type ReceivedMail,
  type Receiver,
  Recorder,
  Scratch,
  startOpenSmtpdReceiver,
} from '../support/peers/index.ts'
import { assertArrived, firstChange } from './support/arrived.ts'
import { corpus, ended, largest, refused, type Sample, stuffed } from './support/corpus/index.ts'
import { type MailNetwork, startMailNetwork, zoneWithMx } from './support/mail-network.ts'
import { needs } from './support/needs.ts'
import { programs } from './support/programs.ts'
import { type Kind, kinds } from './support/receiver-kinds.ts'

const exact = { domain: 'exact.test', address: '127.0.0.20' } as const
const later = { domain: 'later.test', address: '127.0.0.31' } as const
/** As Debian installs it, OpenSMTPD offers STARTTLS and fails each handshake (see its launcher). */
const broken = { domain: 'broken-tls.test', address: '127.0.0.27' } as const

/** Connections end soon, so that the servers write their last line about them. */
const settings = [
  'idle_connection = "1s"',
  'tls_fallback_after = "3s"',
  '[retry]',
  'schedule = ["1s"]',
  '',
].join('\n')

const needed = await needs('postfix', 'exim', 'opensmtpd', 'sendmail', 'm4', 'knot', 'unbound', 'openssl')

test('recipients’ servers found by MX take every content unchanged', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const tls = await selfSigned(owned)
  const zones = [exact, later, ...kinds, broken].map(one => zoneWithMx(one.domain, one.address))
  const network = owned.use(await startMailNetwork({ zones }))
  const recorder = owned.use(await Recorder.start({ host: exact.address, port: network.mxPort }))
  const laterRecorder = owned.use(
    await Recorder.start({ host: later.address, port: network.mxPort, putsOffOnce: true }),
  )
  const receivers = new Map<Kind, Receiver>()
  for (const kind of kinds) {
    const at = { listenAddress: kind.address, port: network.mxPort }
    const receiver = owned.use(await kind.start(kind.hasTls ? { ...at, tls } : at))
    receivers.set(kind, receiver)
    await assertVersion(receiver, kind)
  }
  const house = owned.use(await House.open(network.toml + settings))
  const client = owned.use(await house.client())
  const sent: Buffer[] = []

  await context.test('what is sent is what was handed in', async () => {
    let deliveries = 0
    for (const [index, sample] of corpus.entries()) {
      const able = [exact, later, ...kinds.filter(kind => canTake(kind, sample))]
      const takers = able.map(({ domain }) => domain)
      deliveries += takers.length
      const to = takers.map(domain => `sample${index}@${domain}`)
      const way = index % 2 === 0 ? 'DATA' : { chunks: 1 + (index % 7) }
      queuedId(await handIn(client, to, sample.content, sample, way))
    }
    await waitForEvents(house.server, events => deliveredIn(events) >= deliveries, 300_000)
    const mails = await recorder.waitFor(corpus.length)
    for (const [index, { name, content }] of corpus.entries()) {
      const whole = wholeOf(mailFor(mails, `sample${index}@${exact.domain}`))
      assertArrived(whole, ended(content), name)
      sent.push(whole)
    }
  })

  await context.test('what is sent again after a refusal, from the disk, is the same', async () => {
    const mails = await laterRecorder.waitFor(corpus.length)
    for (const [index, { name }] of corpus.entries()) {
      const whole = wholeOf(mailFor(mails, `sample${index}@${later.domain}`))
      assert.ok(whole.equals(sent[index]!), `${name}: ${firstChange(whole, sent[index]!)}`)
    }
  })

  for (const [kind, receiver] of receivers)
    await context.test(kind.name, async () => {
      const indexes = [...corpus.keys()].filter(index => canTake(kind, corpus[index]!))
      const mails = await receiver.waitFor(indexes.length, 180_000)
      const changed = new Map<number, ReceivedMail>()
      for (const index of indexes) {
        const mail = mailFor(mails, `sample${index}@${kind.domain}`)
        assert.equal(mail.envelopeFrom, 'ann@acme.example')
        if (!mail.bytes.equals(sent[index]!)) changed.set(index, mail)
      }
      await assertWay(receiver, kind, house)
      await assertChangedByItself(receiver, kind, changed, sent)
      const expected = programs[kind.program].changes.flatMap(change => change.samples)
      assert.deepEqual([...changed.keys()].map(index => corpus[index]!.name).sort(), [...expected].sort())
    })

  await context.test('the largest content reaches all of them', async () => {
    const sample = largest()
    const to = [exact, later, ...kinds].map(({ domain }) => `largest@${domain}`)
    const id = queuedId(await handIn(client, to, sample.content, sample, 'DATA'))
    await waitForEvents(house.server, events => deliveredIn(events, id) >= to.length, 300_000)
    const own = mailFor(await recorder.waitFor(corpus.length + 1), to[0]!)
    assertArrived(wholeOf(own), sample.content, sample.name)
    const again = mailFor(await laterRecorder.waitFor(corpus.length + 1), to[1]!)
    assert.ok(wholeOf(again).equals(wholeOf(own)))
    for (const [kind, receiver] of receivers) {
      const mail = await mailThatComes(receiver, `largest@${kind.domain}`)
      assert.ok(mail.bytes.equals(wholeOf(own)), `${kind.name} gave back ${mail.bytes.length} bytes`)
    }
  })

  for (const { name, content, reply, isEightBit, isUtf8 } of refused)
    await context.test(`${name} is refused`, async () => {
      const sample = { name, content, isEightBit, isUtf8 }
      const said = await handIn(client, [`refused@${exact.domain}`], content, sample, { chunks: 1 })
      const [code, enhancedCode, stableCode] = reply
      assert.equal(said.code, code, said.text)
      assert.ok(said.text.startsWith(`${code} ${enhancedCode} `), said.text)
      if (stableCode !== '') assert.ok(said.text.endsWith(`[${stableCode}]`), said.text)
    })

  await context.test('a server whose STARTTLS fails gets clear text only after the configured time', () =>
    assertFallback(house, client, network, tls),
  )
})

function canTake(kind: Kind, sample: Sample): boolean {
  return kind.hasUtf8 || !sample.isUtf8
}

/**
 * Hands a mail to Postrider, or to a server directly: by DATA where that can be said with
 * it and is wanted, else by BDAT.
 */
function handIn(
  client: SmtpClient,
  to: readonly string[],
  content: Buffer,
  sample: Sample,
  way: 'DATA' | { readonly chunks: number },
): Promise<ClientReply> {
  const mail = `${sample.isEightBit ? ' BODY=8BITMIME' : ''}${sample.isUtf8 ? ' SMTPUTF8' : ''}`
  if (way === 'DATA' && ended(content) === content)
    return client.send('ann@acme.example', to, stuffed(content), { mail })
  const chunks = way === 'DATA' ? 1 : way.chunks
  return client.sendChunks('ann@acme.example', to, content, { mail, chunks })
}

function deliveredIn(events: readonly { type: string; messageId: string | null }[], id?: string): number {
  return events.filter(one => one.type === 'delivered' && (id === undefined || one.messageId === id)).length
}

function wholeOf(mail: ReceivedMail): Buffer {
  return Buffer.concat([mail.trace, mail.bytes])
}

function mailFor(mails: readonly ReceivedMail[], to: string): ReceivedMail {
  const mail = mails.find(one => one.rcptTo.includes(to))
  assert.ok(mail !== undefined, `no mail came for ${to}`)
  return mail
}

async function mailThatComes(receiver: Receiver, to: string): Promise<ReceivedMail> {
  for (let count = 1; ; count++) {
    const mails = await receiver.waitFor(count)
    const mail = mails.find(one => one.rcptTo.includes(to))
    if (mail !== undefined) return mail
    count = Math.max(count, mails.length)
  }
}

/** Step 4: the control, without Postrider in between. */
async function assertChangedByItself(
  receiver: Receiver,
  kind: Kind,
  changed: ReadonlyMap<number, ReceivedMail>,
  sent: readonly Buffer[],
): Promise<void> {
  if (changed.size === 0) return
  await using client = await SmtpClient.connect(receiver.port, { host: receiver.address })
  const inClear = await client.hello()
  const offered = kind.hasTls ? await client.startTls() : inClear
  const hasChunking = offered.includes('CHUNKING')
  for (const [index, mail] of changed) {
    const to = `control${index}@${kind.domain}`
    const sample = corpus[index]!
    const said = await handIn(client, [to], sent[index]!, sample, hasChunking ? { chunks: 1 } : 'DATA')
    assert.equal(said.code, 250, said.text)
    const control = await mailThatComes(receiver, to)
    const isSame = control.bytes.equals(mail.bytes)
    assert.ok(isSame, `${kind.name}, ${sample.name}: ${firstChange(mail.bytes, control.bytes)}`)
  }
}

/** The reference page says which version this is. */
async function assertVersion(receiver: Receiver, kind: Kind): Promise<void> {
  const { version, logsVersion } = programs[kind.program]
  const found = logsVersion.exec(await logWith(receiver, [logsVersion]))![1]!
  assert.ok(
    `${found}.`.startsWith(`${version}.`) || found.startsWith(`${version}p`),
    `${kind.name} is ${found}`,
  )
}

/** The log, once all patterns are in it. */
async function logWith(receiver: Receiver, patterns: readonly RegExp[]): Promise<string> {
  for (let tries = 0; ; tries++) {
    const log = await receiver.log()
    const absent = patterns.filter(pattern => !pattern.test(log))
    if (absent.length === 0) return log
    if (tries === 600)
      assert.fail(`the log of ${receiver.name} lacks ${absent.join(' and ')}:\n${log.slice(-4000)}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

/** The log shows that the bytes took the way that the kind is there for. */
async function assertWay(receiver: Receiver, kind: Kind, house: House): Promise<void> {
  const log = await logWith(receiver, kind.shows)
  for (const pattern of kind.hides) assert.doesNotMatch(log, pattern)
  const events = await waitForEvents(house.server, () => true)
  const delivered = events.find(
    one => one.type === 'delivered' && one.forwardPath === `sample0@${kind.domain}`,
  )
  assert.equal(delivered?.outcome?.remoteHost, `mx.${kind.domain}`)
  assert.match(String(delivered?.outcome?.tls), kind.hasTls ? /^TLSv1\.3 / : /^$/)
}

async function assertFallback(
  house: House,
  client: SmtpClient,
  network: MailNetwork,
  tls: Certificate,
): Promise<void> {
  await using receiver = await startOpenSmtpdReceiver({
    listenAddress: broken.address,
    port: network.mxPort,
    tls,
    isTlsBroken: true,
  })
  const [{ content }] = corpus as readonly [Sample]
  const id = queuedId(await client.send('ann@acme.example', `bob@${broken.domain}`, stuffed(content)))
  const events = await waitForAll(house.server, [id], 'delivered')
  const types = typesOf(events, id)
  assert.deepEqual([types[0], types.at(-1)], ['accepted', 'delivered'])
  assert.ok(types.length > 2 && types.slice(1, -1).every(type => type === 'deferred'), types.join())
  const deferred = events.find(event => event.messageId === id && event.type === 'deferred')
  assert.equal(deferred?.outcome?.stage, 'starttls')
  const [mail] = await receiver.waitFor(1)
  assertArrived(mail!.bytes, content)
}

async function selfSigned(owned: AsyncDisposableStack): Promise<Certificate> {
  const directory = owned.use(await Scratch.create('receivers')).path
  const ca = await makeCertificateAuthority({ directory })
  return await makeCertificate({ directory, names: ['somebody.else.test'], ca })
}

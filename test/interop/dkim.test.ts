// Signatures as others see them: every mail of the corpus, signed with RSA-2048 and Ed25519, judged by OpenDKIM, dkimpy,
// Mail::DKIM, mailauth and rspamd with the key records that `postrider domain show` prints: as sent, behind a further
// Postfix with Debian's defaults, and encoded anew for a server without 8BITMIME.
//
// All judges but OpenDKIM get the records from a Knot. Where a judge errs, or a server on the way changes what is signed,
// that stands in a table here with its reason, and the test fails as soon as it is no longer so.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { queuedId, type SmtpClient } from '../scenario/support/client.ts'
import { House, message, waitForAll, waitForEvents } from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import { freePort, run, Scratch, startPostfixReceiver } from '../support/peers/index.ts'
import { corpus, ended, type Sample, stuffed } from './support/corpus/index.ts'
import { decodedBody } from './support/decoded.ts'
import { courtPeers, type Judge, judgePrograms } from './support/judges/index.ts'
import { needs } from './support/needs.ts'
import {
  goodVerdicts,
  keyRecord,
  OtherSigner,
  openCourtFor,
  recordsOf,
  route,
  selectorsOf,
  tell,
} from './support/signing.ts'

const signed = 'signed.example'
const operator = 'operator.example'
const plainDomain = 'plain.example'

/** The corpus, from the domain that signs; UTF-8 headers need SMTPUTF8, which the plain server lacks. */
const samples: readonly Sample[] = corpus.map(sample => ({
  ...sample,
  content: Buffer.from(sample.content.toString('latin1').replaceAll(/acme\.example/gi, signed), 'latin1'),
}))

/** What Debian's Postfix does by default to mail that passes through, where the launcher had switched it off. */
const defaults = [
  'local_header_rewrite_clients = permit_inet_interfaces',
  'message_drop_headers = bcc, content-length, resent-bcc, return-path',
  'disable_mime_output_conversion = no',
  'smtp_line_length_limit = 998',
].join('\n')
const sevenBit = 'smtpd_discard_ehlo_keywords = 8bitmime, smtputf8, chunking'

/** Octets over 127 in a header cannot be encoded by a relay: such mail bounces there (`extensions.test.ts`). */
function isFitForPlain({ content }: Sample): boolean {
  const end = content.indexOf('\r\n\r\n')
  return (end < 0 ? content : content.subarray(0, end)).every(octet => octet < 128)
}

/** Hands every sample in once, for `<index>@domain` of each domain; resolves when all are delivered. */
async function sendAll(house: House, client: SmtpClient, domains: readonly string[]): Promise<void> {
  let deliveries = 0
  for (const [index, { content, isEightBit, isUtf8 }] of samples.entries()) {
    const mail = `${isEightBit ? ' BODY=8BITMIME' : ''}${isUtf8 ? ' SMTPUTF8' : ''}`
    const takers = domains.filter(domain => domain !== plainDomain || isFitForPlain(samples[index]!))
    const to = takers.map(domain => `sample${index}@${domain}`)
    const reply =
      ended(content) === content
        ? await client.send(`ann@${signed}`, to, stuffed(content), { mail })
        : await client.sendChunks(`ann@${signed}`, to, content, { mail })
    queuedId(reply)
    deliveries += to.length
  }
  const isDelivered = (one: { type: string }) => one.type === 'delivered'
  await waitForEvents(house.server, events => events.filter(isDelivered).length >= deliveries, 300_000)
}

/** What a server on the way changes of what is signed, so that no judge can let it pass (`receivers.test.ts`). */
const changedOnTheWay: Readonly<Record<string, readonly string[]>> = {
  // Postfix completes and reorders addresses in To for clients that it counts as local.
  'behind a further Postfix': ['recipients without domains', 'recipients in odd forms'],
}

/** What a server on the way mends of what some judges cannot read. */
const mendedOnTheWay: Readonly<Record<string, readonly string[]>> = {
  'behind a further Postfix': ['blanks before the colon'],
  // Quoted-printable writes form feeds in letters.
  'encoded anew': ['yEnc'],
}

function misjudgedBy(judge: Judge): string[] {
  return judgePrograms[judge.name].errs.flatMap(one => one.samples)
}

/** Fails unless the judge lets both signatures of each mail pass, saw no others, and every exception still is one. */
async function assertPasses(
  judge: Judge,
  way: string,
  mails: ReadonlyMap<number, Buffer>,
  selectors: readonly string[],
): Promise<void> {
  const verdicts = await judge.judge([...mails.values()])
  const failing = new Map<string, string>()
  for (const [at, index] of [...mails.keys()].entries()) {
    const told = verdicts[at]!.map(tell).sort()
    const expected = goodVerdicts(judge, signed, selectors)
    if (JSON.stringify(told) !== JSON.stringify(expected)) failing.set(samples[index]!.name, told.join(' | '))
  }
  const names = [...mails.keys()].map(index => samples[index]!.name)
  const misjudged = misjudgedBy(judge).filter(name => !(mendedOnTheWay[way] ?? []).includes(name))
  const excused = [...misjudged, ...(changedOnTheWay[way] ?? [])].filter(name => names.includes(name))
  assert.deepEqual([...failing.keys()].sort(), excused.sort(), JSON.stringify([...failing], null, 1))
}

const needed = await needs('postfix', 'knot', ...courtPeers)

test('signatures pass at all judges', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const receiver = owned.use(await Receiver.start())
  const at = async () => ({ listenAddress: '127.0.0.1', port: await freePort() })
  const hop = owned.use(await startPostfixReceiver({ ...(await at()), extraMainCf: defaults }))
  const plain = owned.use(await startPostfixReceiver({ ...(await at()), extraMainCf: sevenBit }))
  const ports = { 'direct.example': receiver.port, 'hop.example': hop.port, [plainDomain]: plain.port }
  const house = owned.use(
    await House.open(
      Object.entries(ports)
        .map(([domain, port]) => route(domain, port))
        .join(''),
    ),
  )
  await house.server.json('domain', 'add', '--account', 'acme', '--trust', signed)
  const client = owned.use(await house.client())
  const records = await recordsOf(house, signed)
  const selectors = selectorsOf(records)
  assert.equal(selectors.length, 2)
  const otherSigner = new OtherSigner(signed)
  const court = await openCourtFor(owned, [signed, operator], { ...records, ...otherSigner.records })
  await sendAll(house, client, Object.keys(ports))

  const asSent = new Map<number, Buffer>()
  const behind = new Map<number, Buffer>()
  const anew = new Map<number, Buffer>()
  const hopped = await hop.waitFor(samples.length)
  const plained = await plain.waitFor(samples.filter(isFitForPlain).length)
  for (const [index, sample] of samples.entries()) {
    asSent.set(
      index,
      receiver.messages.find(one => one.to.includes(`sample${index}@direct.example`))!.content,
    )
    const came = hopped.find(mail => mail.rcptTo.includes(`sample${index}@hop.example`))!
    behind.set(index, Buffer.concat([came.trace, came.bytes]))
    if (sample.isEightBit && isFitForPlain(sample))
      anew.set(index, plained.find(mail => mail.rcptTo.includes(`sample${index}@${plainDomain}`))!.bytes)
  }

  await context.test('the judges are of the versions that the reference page names', async () => {
    for (const { name } of court) {
      const { version, versionCommand } = judgePrograms[name]
      const [command, ...args] = versionCommand
      const { stdout, stderr } = await run(command, args)
      assert.ok(`${stdout.toString('latin1')}${stderr}`.includes(version), `${name}: ${stdout}${stderr}`)
    }
  })

  for (const [way, mails] of [
    ['as sent', asSent],
    ['behind a further Postfix', behind],
    ['encoded anew', anew],
  ] as const)
    for (const judge of court)
      await context.test(`${way}, in the eyes of ${judge.name}`, () =>
        assertPasses(judge, way, mails, selectors),
      )

  await context.test('what a judge misjudges of ours it misjudges of another signer, too', async () => {
    const [fair] = court.filter(judge => misjudgedBy(judge).length === 0) as [Judge]
    for (const judge of court)
      for (const name of misjudgedBy(judge)) {
        const mail = await otherSigner.sign(asSent.get(samples.findIndex(one => one.name === name))!)
        assert.deepEqual((await fair.judge([mail]))[0]!.map(tell), [`${signed} ${OtherSigner.selector} pass`])
        const [verdicts] = await judge.judge([mail])
        assert.ok(!verdicts!.some(one => one.result === 'pass'), `${judge.name} lets ${name} pass`)
      }
  })

  await context.test('content encoded anew has seven bits and says the same', async () => {
    assert.ok(anew.size > 20)
    for (const [index, bytes] of anew) {
      const { name, content } = samples[index]!
      assert.ok(
        bytes.every(octet => octet < 128),
        `${name} still has octets over 127`,
      )
      assert.deepEqual(decodedBody(bytes), decodedBody(ended(content)), `${name} says something else`)
    }
  })

  await context.test('no judge lets a changed body or a second From pass', async () => {
    const original = asSent.get(0)!
    const changed = Buffer.from(original.toString('latin1').replace('\r\nHello.', '\r\nHallo.'), 'latin1')
    assert.notDeepEqual(changed, original)
    const forged = Buffer.concat([Buffer.from('From: mallory@elsewhere.example\r\n'), original])
    for (const judge of court)
      for (const verdicts of await judge.judge([changed, forged]))
        assert.ok(!verdicts.some(one => one.result === 'pass'), `${judge.name}: ${verdicts.map(tell)}`)
  })

  await context.test('a message of a domain with --no-dkim is unsigned', async () => {
    const to = 'unsigned@direct.example'
    const id = queuedId(await client.send('ann@acme.example', to, message()))
    await waitForAll(house.server, [id], 'delivered')
    const came = receiver.messages.find(one => one.to.includes(to))!
    assert.doesNotMatch(came.content.toString('latin1'), /^DKIM-Signature:/im)
    for (const judge of court) assert.deepEqual(await judge.judge([came.content]), [[]], judge.name)
    assert.deepEqual(await recordsOf(house, 'acme.example'), {})
  })
})

test('the operator’s own domain signs a second time', needed, async () => {
  await using owned = new AsyncDisposableStack()
  const scratch = owned.use(await Scratch.create('operator-key'))
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keyFile = join(scratch.path, 'operator.pem')
  await writeFile(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  const receiver = owned.use(await Receiver.start())
  const section = `[dkim]\ndomain = "${operator}"\nselector = "op1"\nkey_file = "${keyFile}"\n`
  const house = owned.use(await House.open(route('direct.example', receiver.port) + section))
  await house.server.json('domain', 'add', '--account', 'acme', '--trust', signed)
  const client = owned.use(await house.client())
  const [{ content }] = samples as readonly [Sample]
  const id = queuedId(await client.send(`ann@${signed}`, 'bob@direct.example', stuffed(content)))
  await waitForAll(house.server, [id], 'delivered')
  const own = await recordsOf(house, signed)
  const court = await openCourtFor(owned, [signed, operator], {
    ...own,
    [`op1._domainkey.${operator}`]: keyRecord(publicKey),
  })
  for (const judge of court) {
    const [verdicts] = await judge.judge([receiver.messages[0]!.content])
    const expected = [...goodVerdicts(judge, signed, selectorsOf(own)), `${operator} op1 pass`]
    assert.deepEqual(verdicts!.map(tell).sort(), expected.sort(), judge.name)
  }
})

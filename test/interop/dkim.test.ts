// Signatures as others see them: every sample of the corpus, signed with RSA-2048 and Ed25519, judged by OpenDKIM and by
// mailauth with the key records that `postrider domain show` prints: as sent, behind a further Postfix with Debian's
// defaults, and encoded anew for a server without 8BITMIME.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import PostalMime from 'postal-mime'
import { queuedId, type SmtpClient } from '../scenario/support/client.ts'
import { House, message, waitForAll } from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import { freePort, Scratch, startPostfixReceiver } from '../support/peers/index.ts'
import { corpus, type Sample, stuffed } from './support/corpus.ts'
import { judge, type KeyRecords, type Verdict } from './support/judges.ts'
import { needs } from './support/needs.ts'

const signed = 'signed.example'

/** The corpus, from the domain that signs. */
const samples: readonly Sample[] = corpus.map(sample => ({
  ...sample,
  content: Buffer.from(sample.content.toString('latin1').replaceAll('acme.example', signed), 'latin1'),
}))

/** What Debian's Postfix does by default to mail that passes through, where the launcher had switched it off. */
const defaults = [
  'local_header_rewrite_clients = permit_inet_interfaces',
  'message_drop_headers = bcc, content-length, resent-bcc, return-path',
  'disable_mime_output_conversion = no',
  'smtp_line_length_limit = 998',
].join('\n')
const sevenBit = 'smtpd_discard_ehlo_keywords = 8bitmime, smtputf8, chunking'

function route(domain: string, port: number): string {
  return `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "127.0.0.1:${port}"\n`
}

/** The key records of a domain, as the operator is told to publish them. */
async function recordsOf(house: House, domain: string): Promise<KeyRecords> {
  const shown = await house.server.json<{ records: { purpose: string; name: string; value: string }[] }>(
    'domain',
    'show',
    domain,
  )
  const keys = shown.records.filter(record => record.purpose === 'dkim')
  return Object.fromEntries(keys.map(({ name, value }) => [name, value]))
}

/** Sends every sample to `<index>@domain`; resolves when all are delivered. */
async function sendAll(house: House, client: SmtpClient, domain: string): Promise<void> {
  const ids: string[] = []
  for (const [index, { content, isEightBit }] of samples.entries()) {
    const mail = isEightBit ? ' BODY=8BITMIME' : ''
    const to = `sample${index}@${domain}`
    ids.push(queuedId(await client.send(`ann@${signed}`, to, stuffed(content), { mail })))
  }
  await waitForAll(house.server, ids, 'delivered')
}

/** Fails unless both judges let both signatures pass, and saw no others. */
async function assertPasses(bytes: Buffer, records: KeyRecords, name: string): Promise<void> {
  const told = (await judge(bytes, records)).map(tell).sort()
  const expected = ['mailauth', 'opendkim'].flatMap(one =>
    ['ed25519-sha256', 'rsa-sha256'].map(algorithm => `${one} ${algorithm} ${signed} pass`),
  )
  assert.deepEqual(told, expected, `${name}:\n${bytes.toString('latin1').slice(0, 3000)}`)
}

function tell(verdict: Verdict): string {
  return `${verdict.judge} ${verdict.algorithm} ${verdict.domain} ${verdict.result}`
}

const needed = await needs('postfix', 'opendkim')

test('signatures pass at both judges', needed, async context => {
  await using receiver = await Receiver.start()
  const at = async () => ({ listenAddress: '127.0.0.1', port: await freePort() })
  await using hop = await startPostfixReceiver({ ...(await at()), extraMainCf: defaults })
  await using plain = await startPostfixReceiver({ ...(await at()), extraMainCf: sevenBit })
  const routes = [
    route('direct.example', receiver.port),
    route('hop.example', hop.port),
    route('plain.example', plain.port),
  ]
  await using house = await House.open(routes.join(''))
  await house.server.json('domain', 'add', '--account', 'acme', '--trust', signed)
  await using client = await house.client()
  const records = await recordsOf(house, signed)
  assert.equal(Object.keys(records).length, 2)

  await context.test('as we send them', async () => {
    await sendAll(house, client, 'direct.example')
    for (const [index, { name }] of samples.entries()) {
      const came = receiver.messages.find(one => one.to.includes(`sample${index}@direct.example`))
      await assertPasses(came!.content, records, name)
    }
  })

  await context.test('behind a further Postfix with its defaults', async () => {
    await sendAll(house, client, 'hop.example')
    const mails = await hop.waitFor(samples.length)
    for (const [index, { name }] of samples.entries()) {
      const came = mails.find(mail => mail.rcptTo.includes(`sample${index}@hop.example`))
      await assertPasses(Buffer.concat([came!.trace, came!.bytes]), records, name)
    }
  })

  await context.test('of content encoded anew for a server without 8BITMIME', async () => {
    await sendAll(house, client, 'plain.example')
    const mails = await plain.waitFor(samples.length)
    for (const [index, { name, content, isEightBit }] of samples.entries()) {
      const { bytes } = mails.find(mail => mail.rcptTo.includes(`sample${index}@plain.example`))!
      assert.ok(
        bytes.every(octet => octet < 128),
        `${name} still has octets over 127`,
      )
      await assertPasses(bytes, records, name)
      if (isEightBit) {
        const [before, after] = [await PostalMime.parse(content), await PostalMime.parse(bytes)]
        assert.equal(after.text?.trimEnd(), before.text?.trimEnd(), `${name} says something else`)
        assert.equal(after.subject, before.subject)
      }
    }
  })

  await context.test('and fail when a byte of the body changes or a second From is added', async () => {
    const { content } = receiver.messages[0]!
    const results = async (bytes: Buffer): Promise<string[]> =>
      [...new Set((await judge(bytes, records)).map(one => one.result))].sort()
    const changed = Buffer.from(content.toString('latin1').replace('\r\nHello.', '\r\nHallo.'), 'latin1')
    assert.notDeepEqual(changed, content)
    assert.ok(!(await results(changed)).includes('pass'))
    const forged = Buffer.concat([Buffer.from('From: mallory@elsewhere.example\r\n'), content])
    assert.ok(!(await results(forged)).includes('pass'))
  })

  await context.test('a message of a domain with --no-dkim is unsigned', async () => {
    const to = 'unsigned@direct.example'
    const id = queuedId(await client.send('ann@acme.example', to, message()))
    await waitForAll(house.server, [id], 'delivered')
    const came = receiver.messages.find(one => one.to.includes(to))!
    assert.doesNotMatch(came.content.toString('latin1'), /^DKIM-Signature:/im)
    assert.deepEqual(await judge(came.content, records), [])
    assert.deepEqual(await recordsOf(house, 'acme.example'), {})
  })
})

test('the operator’s own domain signs a second time', needed, async () => {
  await using scratch = await Scratch.create('operator-key')
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keyFile = join(scratch.path, 'operator.pem')
  await writeFile(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  const der = publicKey.export({ format: 'der', type: 'spki' })
  await using receiver = await Receiver.start()
  const section = `[dkim]\ndomain = "operator.example"\nselector = "op1"\nkey_file = "${keyFile}"\n`
  await using house = await House.open(route('direct.example', receiver.port) + section)
  await house.server.json('domain', 'add', '--account', 'acme', '--trust', signed)
  await using client = await house.client()
  const [{ content }] = samples as [Sample]
  const id = queuedId(await client.send(`ann@${signed}`, 'bob@direct.example', stuffed(content)))
  await waitForAll(house.server, [id], 'delivered')
  const records = {
    ...(await recordsOf(house, signed)),
    'op1._domainkey.operator.example': `v=DKIM1; k=rsa; p=${der.toString('base64')}`,
  }
  const told = (await judge(receiver.messages[0]!.content, records)).map(tell).sort()
  const expected = ['mailauth', 'opendkim'].flatMap(one => [
    `${one} ed25519-sha256 ${signed} pass`,
    `${one} rsa-sha256 operator.example pass`,
    `${one} rsa-sha256 ${signed} pass`,
  ])
  assert.deepEqual(told, expected)
})

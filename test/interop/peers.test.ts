/**
 * Smoke tests of the peer launchers themselves: each real program starts, does its one job, and gives back
 * exactly what it was given. Without the programs (see `installPeers`) there is nothing to test, and the
 * tests say which are missing instead of passing.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { describe, it } from 'node:test'
import { dkimSign } from 'mailauth/lib/dkim/sign.js'
import {
  freePort,
  makeCertificate,
  makeCertificateAuthority,
  missingPeers,
  type Receiver,
  type ReceiverOptions,
  run,
  runSmtpSource,
  Scratch,
  startEximReceiver,
  startKnot,
  startOpenSmtpdReceiver,
  startPostfixReceiver,
  startSendmailReceiver,
  startSmtpServerReceiver,
  startSmtpSink,
  startUnbound,
  verifyAllWithOpendkim,
  verifyWithOpendkim,
} from '../support/peers/index.ts'

const missing = await missingPeers()
const needs = (...names: string[]): { skip: string | false } => {
  const absent = names.filter(name => missing.includes(name))
  if (process.getuid?.() !== 0) absent.push('root')
  return {
    skip: absent.length === 0 || process.env['CI'] === 'true' ? false : `missing: ${absent.join(', ')}`,
  }
}

const message = Buffer.from(
  [
    'Received: from earlier.example (earlier.example [192.0.2.1])',
    '\tby client.example; Mon, 23 Nov 2026 10:00:00 +0000',
    'From: Sender <sender@example.com>',
    'To: recipient@example.test',
    'Subject:  two  spaces and',
    '\ta fold',
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    'Message-ID: <one@example.com>',
    '',
    '.a line that starts with a dot',
    '..two',
    'trailing space ',
    `Grüße, 8-bit`,
    '',
    '',
    '',
  ].join('\r\n'),
)

const receivers: ReadonlyArray<{
  name: string
  start: (options: ReceiverOptions) => Promise<Receiver>
  /** How it says in its trace header, or in its log when it writes none, that TLS was used. */
  saysTls: RegExp
  peers: readonly string[]
}> = [
  {
    name: 'postfix',
    start: startPostfixReceiver,
    saysTls: /with esmtps\b/i,
    peers: ['postfix'],
  },
  { name: 'exim', start: startEximReceiver, saysTls: /with esmtps\b/i, peers: ['exim'] },
  {
    name: 'opensmtpd',
    start: startOpenSmtpdReceiver,
    saysTls: /with esmtps\b/i,
    peers: ['opensmtpd'],
  },
  {
    name: 'sendmail',
    start: startSendmailReceiver,
    saysTls: /with esmtps\b/i,
    peers: ['sendmail', 'm4'],
  },
  {
    name: 'smtp-server',
    start: startSmtpServerReceiver,
    saysTls: /secure=true/,
    peers: [],
  },
]

async function swaks(receiver: Receiver, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await run(
    'swaks',
    [
      ...['--server', receiver.address, '--port', String(receiver.port), '--helo', 'client.example'],
      ...['--from', 'sender@example.com', '--to', 'recipient@example.test,second@other.test'],
      ...['--data', '-', ...args],
    ],
    { input: message },
  )
  assert.equal(code, 0, `${stderr}\n${stdout.toString('latin1')}`)
}

describe('receivers', { concurrency: false }, () => {
  for (const { name, start, peers } of receivers)
    it(`${name} hands back the exact envelope and bytes of a mail`, needs(...peers, 'curl'), async () => {
      await using receiver = await start({ listenAddress: '127.0.0.1', port: await freePort() })
      const sent = await run(
        'curl',
        [
          ...['-sS', `smtp://127.0.0.1:${receiver.port}/client.example`, '--mail-from', 'sender@example.com'],
          ...['--mail-rcpt', 'recipient@example.test', '--mail-rcpt', 'second@other.test', '-T', '-'],
        ],
        { input: message },
      )
      assert.equal(sent.code, 0, sent.stderr)
      const mails = await receiver.waitFor(1)
      const rcptTo = mails.flatMap(mail => mail.rcptTo).sort()
      assert.deepEqual(rcptTo, ['recipient@example.test', 'second@other.test'])
      for (const mail of mails) {
        assert.equal(mail.envelopeFrom, 'sender@example.com')
        assert.equal(mail.bytes.toString('latin1'), message.toString('latin1'))
        const trace = mail.trace.toString('latin1')
        if (name !== 'smtp-server') assert.match(trace, /^Received: from [^:]*127\.0\.0\.1/)
      }
    })

  for (const { name, start, peers, saysTls } of receivers)
    it(`${name} offers STARTTLS with a certificate that verifies`, needs(...peers, 'swaks TLS'), async () => {
      await using scratch = await Scratch.create('peers-tls')
      const ca = await makeCertificateAuthority({ directory: scratch.path })
      const names = ['mx.peers.test', '127.0.0.1']
      const tls = await makeCertificate({ directory: scratch.path, names, ca })
      await using receiver = await start({ listenAddress: '127.0.0.1', port: await freePort(), tls })
      await swaks(receiver, '--tls', '--tls-verify', '--tls-ca-path', ca.certificate)
      const [mail] = await receiver.waitFor(1)
      const said = mail?.trace.length === 0 ? await receiver.log() : mail?.trace.toString('latin1')
      assert.match(said ?? '', saysTls)
    })
})

describe('load tools', () => {
  it('smtp-sink counts exactly what smtp-source sends', needs('smtp-sink'), async () => {
    await using sink = await startSmtpSink({ port: await freePort() })
    const done = sink.waitFor(200, 30_000)
    const source = await runSmtpSource({ port: sink.port, messages: 200, sessions: 5, isKept: true })
    assert.equal(source.exit, 0, source.stderr)
    await done
    assert.equal(sink.messages(), 200)
  })
})

describe('DNS', () => {
  it(
    'unbound answers from signed and unsigned zones of knot, and from nowhere else',
    needs('knot', 'unbound'),
    async () => {
      const zones = [
        { name: 'signed.test', records: ['@ MX 10 mx', 'mx A 127.0.0.25'], isSigned: true },
        { name: 'plain.test', records: ['@ TXT "hello"'] },
      ]
      await using knot = await startKnot({ zones, port: await freePort() })
      await using unbound = await startUnbound({
        zones: zones.map(zone => zone.name),
        upstream: knot,
        port: await freePort(),
        trustAnchors: [await knot.trustAnchor('signed.test')],
      })
      const resolver = new Resolver({ timeout: 5000, tries: 2 })
      resolver.setServers([`${unbound.address}:${unbound.port}`])
      assert.deepEqual(
        (await resolver.resolveMx('signed.test')).map(mx => [mx.priority, mx.exchange]),
        [[10, 'mx.signed.test']],
      )
      assert.deepEqual(await resolver.resolve4('mx.signed.test'), ['127.0.0.25'])
      assert.deepEqual(await resolver.resolveTxt('plain.test'), [['hello']])
      await assert.rejects(resolver.resolveTxt('elsewhere.example'), { code: 'EREFUSED' })
    },
  )
})

describe('OpenDKIM', () => {
  it(
    'tells a good signature from one over changed bytes, for RSA and Ed25519',
    needs('opendkim'),
    async () => {
      const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
      const ed25519 = generateKeyPairSync('ed25519')
      const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' }).toString()
      const der = (key: KeyObject) => key.export({ format: 'der', type: 'spki' })
      const dnsTxtRecords = {
        'r1._domainkey.example.com': `v=DKIM1; k=rsa; p=${der(rsa.publicKey).toString('base64')}`,
        'e1._domainkey.example.com': `v=DKIM1; k=ed25519; p=${der(ed25519.publicKey).subarray(12).toString('base64')}`,
      }
      const first = { signingDomain: 'example.com', selector: 'r1', privateKey: pem(rsa.privateKey) }
      const second = { signingDomain: 'example.com', selector: 'e1', privateKey: pem(ed25519.privateKey) }
      const { signatures } = await dkimSign(message, { ...first, signatureData: [first, second] })
      const good = Buffer.concat([Buffer.from(signatures), message])
      const report = await verifyWithOpendkim(good, { dnsTxtRecords })
      assert.deepEqual(
        report.signatures.map(one => [one.selector, one.result]).sort(),
        [
          ['e1', 'pass'],
          ['r1', 'pass'],
        ],
        report.output,
      )
      const changed = Buffer.from(good.toString('latin1').replace('two', 'tow'), 'latin1')
      const refused = await verifyWithOpendkim(changed, { dnsTxtRecords })
      assert.deepEqual(
        refused.signatures.map(one => one.result),
        ['fail', 'fail'],
        refused.output,
      )
      assert.deepEqual((await verifyWithOpendkim(message, { dnsTxtRecords })).signatures, [])
      // It stops at a tab before a colon; the others are judged all the same, each in its place.
      const unreadable = Buffer.concat([Buffer.from('X-Old\t: obsolete\r\n'), good])
      const mails = [good, message, unreadable, changed, good]
      const all = await verifyAllWithOpendkim(mails, { dnsTxtRecords })
      assert.deepEqual(
        all.map(one => one.signatures.map(({ result }) => result)),
        [['pass', 'pass'], [], [], ['fail', 'fail'], ['pass', 'pass']],
      )
    },
  )
})

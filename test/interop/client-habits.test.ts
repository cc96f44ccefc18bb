// Habits of real clients that a server must live with: BDAT, pipelining, HELO in place of EHLO, many messages on one
// connection with refused ones between, going away without QUIT, and a mail server that passes on what is not its own.

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventsOf, House, type ShownEvent, waitForEvents } from '../scenario/support/house.ts'
import { type Received, Receiver } from '../scenario/support/receiver.ts'
import {
  type Certificate,
  makeCertificate,
  makeCertificateAuthority,
  Scratch,
} from '../support/peers/index.ts'
import { type Job, runPage, type Sent, sendByNodemailer } from './support/client-programs.ts'
import { type Change, type ConfigPage, changed, filledIn, readSendPage } from './support/config-page.ts'
import { sendByExim } from './support/exim-client.ts'
import { needs } from './support/needs.ts'
import { sendByPostfix } from './support/postfix-client.ts'
import { writeMail } from './support/submitted-mail.ts'

const from = 'ann@example.com'
const messagesOfOneSession = 30
/** For a machine that has much else to do. */
const patienceMs = 60_000

interface Stage {
  readonly house: House
  readonly receiver: Receiver
  readonly folder: string
  readonly authority: Certificate
}

async function openStage(owned: AsyncDisposableStack): Promise<Stage> {
  const folder = owned.use(await Scratch.create('habits')).path
  const authority = await makeCertificateAuthority({ directory: folder })
  const leaf = await makeCertificate({ directory: folder, names: ['localhost'], ca: authority })
  const receiver = owned.use(await Receiver.start())
  const tls = `[tls]\ncertificate = "${leaf.certificate}"\nkey = "${leaf.key}"\n`
  const relay = 'networks = ["127.0.0.1"]\naccount = "acme"\nsenders = "any"'
  const house = owned.use(await House.open(`${receiver.route}${tls}`, { relay }))
  await house.server.json('domain', 'add', '--account', 'acme', '--trust', 'example.com')
  return { house, receiver, folder, authority }
}

/** A run of a page's client; `name` makes its folder and its recipients. */
async function jobOf(stage: Stage, name: string, page: ConfigPage): Promise<Job> {
  const { house, folder: parent, authority } = stage
  const folder = join(parent, name)
  await mkdir(folder)
  const to = [`bob.${name}@example.net`, `carol.${name}@example.org`]
  await writeMail(folder, to[0]!)
  const filled = filledIn(page, [
    [/mail\.example\.com/g, 'localhost'],
    [/\b587\b/g, String(house.ports.submission)],
    [/(?<=:)25\b/g, String(house.ports.relay)],
    [/\/etc\/ssl\/certs\/ca-certificates\.crt/g, authority.certificate],
    [/shop-jn5csmp3/g, house.login.username],
    [/pr_SECRET/g, house.login.secret],
    [/bob@example\.net/g, to[0]!],
    [/carol@example\.org/g, to[1]!],
  ])
  return { folder, page: filled, authority: authority.certificate, from, to }
}

async function pageOf(name: string, changes: readonly Change[] = []): Promise<ConfigPage> {
  return changed(await readSendPage(name), changes)
}

/** Fails unless both recipients got the mail; gives it and its `accepted` event. */
async function arrived(
  stage: Stage,
  job: Job,
  sent: Sent,
): Promise<{ mail: Received; accepted: ShownEvent }> {
  assert.ok(sent.isTaken, sent.said)
  const { receiver, house } = stage
  const came = () => receiver.messages.filter(mail => mail.to.some(path => job.to.includes(path)))
  await receiver.waitFor(() => came().flatMap(mail => mail.to).length >= job.to.length, patienceMs)
  const isOurs = (event: ShownEvent): boolean =>
    event.type === 'accepted' && event.forwardPaths?.includes(job.to[0]!) === true
  const events = await waitForEvents(house.server, all => all.some(isOurs))
  assert.equal(events.filter(isOurs).length, 1)
  return { mail: came()[0]!, accepted: events.find(isOurs)! }
}

const receivedField = (mail: Received): string =>
  /^Received: (?:.|\r\n[ \t])*/m.exec(mail.content.toString('latin1'))?.[0] ?? ''

const endsWithoutQuit: Change = [
  "if refused:\n    raise SystemExit(f'sent, but not to all: {refused}')\n",
  '',
]

const needed = await needs('exim', 'postfix', 'swaks', 'swaks TLS', 'swaks TLS sockets', 'python3', 'openssl')

test('habits of clients', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const stage = await openStage(owned)
  const { house } = stage
  const that = (name: string, run: (one: TestContext) => Promise<void>): Promise<void> =>
    context.test(name, run)

  await that('Exim pipelines its commands and sends the content by BDAT', async () => {
    const job = await jobOf(stage, 'bdat', await pageOf('exim'))
    const sent = await sendByExim(job)
    await arrived(stage, job, sent)
    // In Exim's log L is PIPELINING and K is CHUNKING; CV is the verified certificate.
    assert.match(sent.said, / X=TLS\S+ CV=yes A=smarthost_plain L K C="250 2\.0\.0 Queued as msg_/)
  })

  await that('swaks sends MAIL, RCPT and DATA in one write', async () => {
    const page = await pageOf('swaks', [['--auth PLAIN', '--pipeline --auth PLAIN']])
    const job = await jobOf(stage, 'pipeline', page)
    const sent = await runPage(job)
    await arrived(stage, job, sent)
    assert.match(sent.said, /MAIL FROM:.*\n.*RCPT TO:.*\n.*RCPT TO:.*\n.*DATA\n.*250 2\.1\.0/)
  })

  await that('a device in a relay network says HELO and needs no login', async () => {
    const page = await pageOf('swaks')
    const job = await jobOf(stage, 'helo', {
      ...page,
      commands: new Map([['', page.commands.get('from-a-network')!]]),
    })
    const sent = await runPage(job)
    const { mail } = await arrived(stage, job, sent)
    assert.match(sent.said, /-> HELO /)
    assert.match(receivedField(mail), /\bwith SMTP\b/)
  })

  await that('Postfix in a relay network passes on foreign senders and bounces', async () => {
    const page = await readSendPage('postfix')
    const made = changed(page, page.changes.get('from-a-network')!)
    for (const [index, sender] of ['x@foreign.example', ''].entries()) {
      const job = { ...(await jobOf(stage, `foreign${index}`, made)), from: sender }
      const { mail } = await arrived(stage, job, await sendByPostfix(job))
      assert.equal(mail.from, sender)
    }
  })

  await that(
    `${messagesOfOneSession} messages go over one connection, with refused ones between`,
    async () => {
      const page = await pageOf('python-smtplib', [
        [
          '    refused = smtp.send_message(message)\n',
          [
            '    refused = {}',
            `    for number in range(${messagesOfOneSession}):`,
            '        try:',
            "            smtp.send_message(message, from_addr='ann@foreign.example')",
            "            raise SystemExit('a foreign sender was taken')",
            '        except smtplib.SMTPSenderRefused: pass',
            "        smtp.send_message(message, to_addrs=f'many.{number}@example.net')\n",
          ].join('\n'),
        ],
      ])
      const sent = await runPage(await jobOf(stage, 'many', page))
      assert.ok(sent.isTaken, sent.said)
      const wanted = Array.from({ length: messagesOfOneSession }, (_, number) => `many.${number}@example.net`)
      const came = (): string[] => stage.receiver.messages.flatMap(mail => mail.to)
      await stage.receiver.waitFor(() => wanted.every(path => came().includes(path)), patienceMs)
      assert.equal(came().filter(path => path.startsWith('many.')).length, messagesOfOneSession)
    },
  )

  await that(`Nodemailer’s pool sends ${messagesOfOneSession} messages over three connections`, async () => {
    const page = await pageOf('nodemailer', [
      ["  authMethod: 'PLAIN',\n", "  authMethod: 'PLAIN',\n  pool: true,\n  maxConnections: 3,\n"],
      ['const sent = await transport.sendMail({', 'const one = number => transport.sendMail({'],
      ["  to: ['bob@example.net', 'carol@example.org'],\n", "  to: 'pooled.' + number + '@example.net',\n"],
      [
        'console.log(sent.response)\n',
        [
          `const numbers = Array.from({ length: ${messagesOfOneSession} }, (_, number) => number)`,
          'const all = await Promise.all(numbers.map(one))',
          'for (const { response } of all) console.log(response)',
          'transport.close()\n',
        ].join('\n'),
      ],
      [
        "if (sent.rejected.length > 0) throw new AggregateError(sent.rejectedErrors, sent.rejectedErrors.join('\\n'))\n",
        '',
      ],
    ])
    const sent = await sendByNodemailer(await jobOf(stage, 'pool', page))
    assert.ok(sent.isTaken, sent.said)
    const ids = sent.said.match(/Queued as msg_[a-z2-7]{26}/g)
    assert.equal(new Set(ids).size, messagesOfOneSession)
    const came = (): string[] =>
      stage.receiver.messages.flatMap(mail => mail.to).filter(path => path.startsWith('pooled.'))
    await stage.receiver.waitFor(() => came().length >= messagesOfOneSession, patienceMs)
    assert.equal(new Set(came()).size, messagesOfOneSession)
  })

  await that('Python names recipients that are not ASCII, by SMTPUTF8', async () => {
    const page = await pageOf('python-smtplib', [
      ['bob@example.net, carol', 'jürgen.utf8@example.net, carol'],
    ])
    const job = await jobOf(stage, 'utf8', page)
    const to = ['jürgen.utf8@example.net', job.to[1]!]
    const { mail } = await arrived(stage, { ...job, to }, await runPage(job))
    assert.match(mail.fromParameters, /\bSMTPUTF8\b/)
  })

  await that('a client that knows nothing newer than TLS 1.2 is served, an older one is not', async () => {
    // Else Debian's OpenSSL speaks nothing old by itself.
    const lax = '--tlsv1.0 --ciphers DEFAULT@SECLEVEL=0'
    const limit = (version: string): Change => ['--ssl-reqd', `--ssl-reqd ${lax} --tls-max ${version}`]
    const served = await jobOf(stage, 'tls12', await pageOf('curl', [limit('1.2')]))
    const { accepted } = await arrived(stage, served, await runPage(served))
    assert.match(accepted.tls ?? '', /^TLSv1\.2 .*ECDHE/)
    const old = await runPage(await jobOf(stage, 'tls11', await pageOf('curl', [limit('1.1')])))
    assert.ok(!old.isTaken, old.said)
    assert.match(old.said, /alert protocol version/)
  })

  for (const [name, end] of [
    ['closes without QUIT', 'smtp.sock.close(); smtp.close()'],
    ['is killed', 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'],
    [
      'resets the connection',
      "smtp.sock.setsockopt(1, 13, b'\\1\\0\\0\\0\\0\\0\\0\\0'); smtp.sock.close(); smtp.close()",
    ],
  ] as const)
    await that(`what was answered with 250 goes out once when the client ${name}`, async () => {
      const send = '    refused = smtp.send_message(message)\n'
      const page = await pageOf('python-smtplib', [
        [send, `${send}    open('sent', 'w').close()\n    ${end}\n`],
        endsWithoutQuit,
      ])
      const job = await jobOf(stage, name.replaceAll(' ', ''), page)
      await runPage(job)
      await arrived(stage, job, { isTaken: true, said: '' })
    })

  await that('a client that goes away before the end of its content leaves nothing behind', async () => {
    const page = await pageOf('python-smtplib', [
      [
        '    refused = smtp.send_message(message)\n',
        [
          "    smtp.mail('ann@example.com'); smtp.rcpt('bob@example.net'); smtp.docmd('DATA')",
          "    smtp.send(b'From: ann@example.com\\r\\n\\r\\nhalf of it\\r\\n.')",
          '    smtp.sock.close(); smtp.close()\n',
        ].join('\n'),
      ],
      endsWithoutQuit,
    ])
    const job = await jobOf(stage, 'half', page)
    assert.ok((await runPage(job)).isTaken)
    // A whole message after it: by then the half one would have been taken.
    const after = await jobOf(stage, 'afterhalf', await pageOf('swaks'))
    await arrived(stage, after, await runPage(after))
    const events = await eventsOf(house.server)
    assert.ok(!events.some(event => event.forwardPaths?.includes(job.to[0]!)))
  })
})

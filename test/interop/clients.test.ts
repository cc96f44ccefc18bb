// Real submitting clients, each set up as its page in docs/start/send-from says: STARTTLS and TLS from the first byte,
// PLAIN and LOGIN, certificates verified.
//
// What they hand in goes through the whole relay to a receiver and is looked at there. What goes wrong must make them
// fail, and they must show why: in our words, unless the table of clients says that they have their own.

import assert from 'node:assert/strict'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventsOf, House } from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import {
  type Certificate,
  makeCertificate,
  makeCertificateAuthority,
  Scratch,
} from '../support/peers/index.ts'
import {
  type ClientProgram,
  clientPrograms,
  type Door,
  type Mechanism,
  runPage,
  type Sent,
  type Trouble,
} from './support/client-programs.ts'
import { changed, filledIn, pagesFolder, readSendPage } from './support/config-page.ts'
import type { KeyRecords } from './support/key-records.ts'
import { needs } from './support/needs.ts'
import { assertMail, writeMail } from './support/submitted-mail.ts'

const doors: readonly Door[] = ['starttls', 'implicit']
const doorNames: Readonly<Record<Door, string>> = { starttls: 'STARTTLS', implicit: 'implicit TLS' }
const messageSizeBytes = 512 * 1024
/** For a machine that has much else to do. */
const patienceMs = 60_000

const certificateWords = /certificate|issuer|verif|not trusted/i

/** What goes wrong, at which doors, and the words that the client's user must see. */
const troubles: Readonly<
  Record<Trouble, { readonly name: string; readonly doors: readonly Door[]; readonly words: RegExp }>
> = {
  'wrong-secret': {
    name: 'shows that the login failed',
    doors: ['starttls'],
    words: /5\.7\.8.*user name or secret is wrong/,
  },
  stranger: { name: 'goes away when a stranger signed the certificate', doors, words: certificateWords },
  'other-name': {
    name: 'goes away when the certificate is for another name',
    doors,
    words: /certificate|name|peer|verif/i,
  },
  'no-tls': { name: 'cannot log in without TLS', doors: ['starttls'], words: /./ },
  'foreign-from': {
    name: 'shows that the sender’s domain is not one of the account',
    doors: ['starttls'],
    words: /5\.7\.1.*foreign\.example in MAIL FROM is not a domain of account acme/,
  },
  'refused-recipient': {
    name: 'shows which recipient was refused and why',
    doors: ['starttls'],
    words: /Bad recipient address: the domain has an invalid internationalised label/,
  },
  'too-large': {
    name: 'shows that a message is too large',
    doors: ['starttls'],
    words: /5\.3\.4.*larger than SIZE allows/,
  },
}

interface Stage {
  readonly house: House
  readonly receiver: Receiver
  readonly folder: string
  readonly authority: Certificate
  readonly strangeAuthority: Certificate
  readonly records: KeyRecords
}

async function openStage(owned: AsyncDisposableStack): Promise<Stage> {
  const folder = owned.use(await Scratch.create('clients')).path
  const authority = await makeCertificateAuthority({ directory: folder })
  const strangeAuthority = await makeCertificateAuthority({ directory: folder, name: 'strange-ca' })
  const leaf = await makeCertificate({ directory: folder, names: ['localhost'], ca: authority })
  const receiver = owned.use(await Receiver.start())
  const limits = [
    `message_size = "${messageSizeBytes / 1024}KiB"`,
    // Every client here fails once and comes from the same address.
    'auth_failures = 10000',
    'connection_rate_per_address = 100000',
  ]
  const toml = [
    receiver.route,
    `[tls]\ncertificate = "${leaf.certificate}"\nkey = "${leaf.key}"`,
    `[limits]\n${limits.join('\n')}\n`,
  ]
  const house = owned.use(await House.open(toml.join('\n')))
  const { server } = house
  await server.json('domain', 'add', '--account', 'acme', '--trust', 'example.com')
  const { records } = await server.json<{ records: { purpose: string; name: string; value: string }[] }>(
    'domain',
    'show',
    'example.com',
  )
  const keys = records.filter(record => record.purpose === 'dkim')
  return {
    house,
    receiver,
    folder,
    authority,
    strangeAuthority,
    records: Object.fromEntries(keys.map(({ name, value }) => [name, value])),
  }
}

interface Attempt {
  readonly sent: Sent
  readonly to: readonly [string, string]
}

let attempts = 0

/** Lets a client send as its page says, with what is special about this attempt. */
async function attempt(
  stage: Stage,
  client: ClientProgram,
  door: Door,
  mechanism: Mechanism,
  trouble?: Trouble,
): Promise<Attempt> {
  const number = attempts++
  const folder = join(stage.folder, `${number}`)
  await mkdir(folder)
  const to = [`bob.${number}@example.net`, `carol.${number}@example.org`] as [string, string]
  if (trouble === 'refused-recipient') to[1] = `carol.${number}@xn--a.example`
  await writeMail(folder, to[0], trouble === 'too-large' ? 2 * messageSizeBytes : undefined)
  const page = await readSendPage(client.page)
  const change = (name: string) => page.changes.get(name) ?? []
  const isDefaultMechanism = mechanism === client.mechanisms[0]
  const made = changed(page, [
    ...(door === 'implicit' ? change('port-465') : []),
    ...(isDefaultMechanism ? [] : change('auth-login')),
    ...(trouble === 'no-tls' ? client.withoutTls : []),
  ])
  const { ports, login } = stage.house
  const from = trouble === 'foreign-from' ? 'ann@foreign.example' : 'ann@example.com'
  const trusted = trouble === 'stranger' ? stage.strangeAuthority : stage.authority
  const job = {
    folder,
    authority: trusted.certificate,
    from,
    to,
    page: filledIn(made, [
      [/mail\.example\.com/g, trouble === 'other-name' ? '127.0.0.1' : 'localhost'],
      [/\b(?:587|465)\b/g, String(door === 'starttls' ? ports.submission : ports.submissions)],
      [/\/etc\/ssl\/certs\/java\/cacerts/g, `${trusted.certificate}.jks`],
      [/\/etc\/ssl\/certs\/ca-certificates\.crt/g, trusted.certificate],
      [/shop-jn5csmp3/g, login.username],
      [/pr_SECRET/g, trouble === 'wrong-secret' ? `${login.secret.slice(0, -4)}oops` : login.secret],
      [/ann@example\.com/g, from],
      [/bob@example\.net/g, to[0]],
      [/carol@example\.org/g, to[1]],
    ]),
  }
  return { sent: await (client.send ?? runPage)(job), to }
}

/** Fails unless the client's mail comes to both recipients. */
async function assertSends(
  stage: Stage,
  client: ClientProgram,
  door: Door,
  mechanism: Mechanism,
): Promise<void> {
  const { sent, to } = await attempt(stage, client, door, mechanism)
  assert.ok(sent.isTaken, sent.said)
  const came = () => stage.receiver.messages.filter(mail => mail.to.some(path => to.includes(path)))
  await stage.receiver.waitFor(() => came().flatMap(mail => mail.to).length >= 2, patienceMs)
  assert.deepEqual(
    came()
      .flatMap(mail => mail.to)
      .sort(),
    [...to].sort(),
  )
  for (const mail of came()) await assertMail(mail, client, to[0], stage.records)
}

/** Fails unless the client fails and shows why. @returns the recipients that nothing may have come to */
async function assertFails(
  stage: Stage,
  client: ClientProgram,
  door: Door,
  trouble: Trouble,
): Promise<readonly string[]> {
  const { sent, to } = await attempt(stage, client, door, client.mechanisms[0]!, trouble)
  const isOneRefused = trouble === 'refused-recipient'
  assert.equal(sent.isTaken, isOneRefused && client.hidesRefusedRecipients === true, sent.said)
  const said = sent.said.replaceAll(/\r?\n(?:\d{3}[- ])?/g, ' ')
  assert.match(said, client.ownWords?.[trouble] ?? troubles[trouble].words)
  if (!isOneRefused || client.sendsToOthers !== true) return to
  await stage.receiver.waitFor(
    () => stage.receiver.messages.some(mail => mail.to.includes(to[0])),
    patienceMs,
  )
  return [to[1]]
}

function concerns(trouble: Trouble, client: ClientProgram): boolean {
  if (trouble === 'other-name') return client.checksName !== false
  return trouble !== 'no-tls' || client.withoutTls.length > 0
}

const needed = await needs('openssl', ...clientPrograms.flatMap(client => client.peers))

test('clients submit as their pages say', { ...needed, concurrency: 2 }, async context => {
  await using owned = new AsyncDisposableStack()
  const stage = await openStage(owned)
  const refused: string[] = []

  const testAll = async (client: ClientProgram, one: TestContext): Promise<void> => {
    for (const door of doors)
      for (const mechanism of client.mechanisms)
        await one.test(`sends over ${doorNames[door]} with ${mechanism}`, () =>
          assertSends(stage, client, door, mechanism),
        )
    for (const trouble of Object.keys(troubles) as Trouble[]) {
      if (!concerns(trouble, client)) continue
      const { name, doors: at } = troubles[trouble]
      for (const door of at)
        await one.test(at.length > 1 ? `${name} (${doorNames[door]})` : name, async () => {
          refused.push(...(await assertFails(stage, client, door, trouble)))
        })
    }
  }
  await Promise.all(clientPrograms.map(client => context.test(client.name, one => testAll(client, one))))

  await context.test('of what was refused nothing was taken', async () => {
    const events = await eventsOf(stage.house.server)
    const paths = events.filter(event => event.type === 'accepted').flatMap(event => event.forwardPaths ?? [])
    assert.ok(paths.length > 0 && refused.length > 0)
    assert.deepEqual(
      paths.filter(path => refused.includes(path)),
      [],
    )
  })
})

test('every page has a client that is tested, and all have the same examples', async () => {
  const pages = (await readdir(pagesFolder))
    .filter(name => name !== 'README.md')
    .map(name => name.slice(0, -3))
  assert.deepEqual(pages.sort(), clientPrograms.map(client => client.page).sort())
  for (const { page, mechanisms } of clientPrograms) {
    const { changes } = await readSendPage(page)
    assert.ok(changes.has('port-465'), page)
    assert.equal(changes.has('auth-login'), mechanisms.length > 1, page)
  }
})

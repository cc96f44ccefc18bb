// Situation: all mail leaves by smarthosts that want a login, or that must prove who they are.
//
// The receivers are the smtp-server package with certificates of an authority of the test. What must hold: the login goes
// only over TLS, and only to who has the right certificate where that is asked for; the password is seen nowhere.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { SMTPServer } from 'smtp-server'
import { type Certificate, makeCertificate, makeCertificateAuthority } from '../support/peers/certificate.ts'
import { queuedId } from './support/client.ts'
import { eventsOf, House, message, type ShownEvent, waitForEvents } from './support/house.ts'

const password = 'correct-horse-battery'
const wrongPassword = 'wrong-horse-battery'

/** A message that a smarthost took. */
interface Taken {
  readonly user: unknown
  readonly isSecure: boolean
  readonly to: readonly string[]
}

/** A smarthost that takes mail only after AUTH, and AUTH only under TLS. */
class Smarthost implements AsyncDisposable {
  readonly taken: Taken[] = []
  readonly logins: string[] = []
  readonly #server: SMTPServer

  private constructor({ certificate, key }: Certificate, isImplicitTls: boolean) {
    this.#server = new SMTPServer({
      secure: isImplicitTls,
      key: readFileSync(key),
      cert: readFileSync(certificate),
      authMethods: ['PLAIN', 'LOGIN'],
      disableReverseLookup: true,
      onAuth: (auth, _session, done) => {
        this.logins.push(auth.password ?? '')
        if (auth.username === 'shop' && auth.password === password) done(null, { user: 'shop' })
        else done(new Error('no such login'))
      },
      onData: (stream, session, done) => {
        stream.resume()
        stream.on('end', () => {
          const to = session.envelope.rcptTo.map(one => one.address)
          this.taken.push({ user: session.user, isSecure: session.secure, to })
          done()
        })
      },
    })
    // A peer that does not trust us ends the handshake: that is the test, not a fault of it.
    this.#server.on('error', () => {})
  }

  static async start(certificate: Certificate, isImplicitTls: boolean = false): Promise<Smarthost> {
    const one = new Smarthost(certificate, isImplicitTls)
    await new Promise<void>(resolve => one.#server.listen(0, '127.0.0.1', resolve))
    return one
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>(resolve => this.#server.close(resolve))
  }
}

let folder: string
let honest: Smarthost
let stranger: Smarthost
/** As `honest` and `stranger`, with TLS from the first byte. */
let implicit: Smarthost
let implicitStranger: Smarthost
/** Their certificates are of the right authority, for somebody else. */
let misnamed: Smarthost
let implicitMisnamed: Smarthost
let house: House

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postrider-smarthost-'))
  const ca = await makeCertificateAuthority({ directory: folder })
  const otherCa = await makeCertificateAuthority({ directory: folder, name: 'stranger-ca' })
  const leaf = await makeCertificate({ directory: folder, names: ['127.0.0.1', 'relay.example'], ca })
  const otherLeaf = await makeCertificate({
    directory: folder,
    names: ['stranger.example', '127.0.0.1'],
    ca: otherCa,
  })
  const misnamedLeaf = await makeCertificate({ directory: folder, names: ['other.example', '127.0.0.2'], ca })
  honest = await Smarthost.start(leaf)
  stranger = await Smarthost.start(otherLeaf)
  implicit = await Smarthost.start(leaf, true)
  implicitStranger = await Smarthost.start(otherLeaf, true)
  misnamed = await Smarthost.start(misnamedLeaf)
  implicitMisnamed = await Smarthost.start(misnamedLeaf, true)
  writeFileSync(join(folder, 'password'), `${password}\n`)
  writeFileSync(join(folder, 'changing-password'), `${wrongPassword}\n`)
  const route = (domain: string, to: Smarthost, file: string, scheme: string = ''): string =>
    `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "${scheme}${to.address}"\ntls = "verified"\nusername = "shop"\npassword_file = "${join(folder, file)}"\n`
  const tls = `[tls]\ncertificate = "${leaf.certificate}"\nkey = "${leaf.key}"\nca = "${ca.certificate}"\n`
  const retry = '[retry]\nschedule = ["1h"]\n'
  const routes = [
    route('honest.example', honest, 'password'),
    route('.honest.example', honest, 'password'),
    route('stranger.example', stranger, 'password'),
    route('forgotten.example', honest, 'changing-password'),
    route('implicit.example', implicit, 'password', 'smtps://'),
    route('implicit-stranger.example', implicitStranger, 'password', 'smtps://'),
    route('misnamed.example', misnamed, 'password'),
    route('implicit-misnamed.example', implicitMisnamed, 'password', 'smtps://'),
    route('no-tls-there.example', honest, 'password', 'smtps://'),
    `[[route]]\nrecipient_domain = "unproven.example"\nsmarthost = "smtps://${implicitStranger.address}"\n`,
  ]
  house = await House.open([tls, retry, ...routes].join(''))
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await honest[Symbol.asyncDispose]()
  await stranger[Symbol.asyncDispose]()
  await implicit[Symbol.asyncDispose]()
  await implicitStranger[Symbol.asyncDispose]()
  await misnamed[Symbol.asyncDispose]()
  await implicitMisnamed[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** Submits, and gives the first outcome. */
async function outcomeOf(to: string): Promise<ShownEvent> {
  await using client = await house.client()
  const id = queuedId(await client.send('ann@acme.example', to, message()))
  return await nextOutcome(id, 0)
}

async function nextOutcome(id: string, afterSeq: number): Promise<ShownEvent> {
  const isIt = (event: ShownEvent): boolean =>
    event.messageId === id && event.outcome !== undefined && event.seq > afterSeq
  const events = await waitForEvents(house.server, all => all.some(isIt))
  return events.find(isIt)!
}

for (const to of ['bob@honest.example', 'bob@deep.honest.example']) {
  test(`mail to ${to} goes with the login of its route, over TLS with a certificate of [tls] ca`, async () => {
    const { outcome } = await outcomeOf(to)
    assert.equal(outcome?.kind, 'delivered', outcome?.text ?? '')
    assert.match(String(outcome?.tls), /^TLSv1\./)
    const taken = honest.taken.find(one => one.to.includes(to))
    assert.deepEqual(taken, { user: 'shop', isSecure: true, to: [to] })
  })
}

test('a smarthost whose certificate nobody vouches for gets neither login nor mail', async () => {
  const { outcome } = await outcomeOf('bob@stranger.example')
  assert.deepEqual([outcome?.kind, outcome?.stage, outcome?.category], ['deferred', 'starttls', 'tls'])
  assert.match(outcome?.text ?? '', /certificate/)
  assert.deepEqual([stranger.logins, stranger.taken], [[], []])
})

test('smtps:// speaks TLS from the first byte, then logs in', async () => {
  const { outcome } = await outcomeOf('bob@implicit.example')
  assert.equal(outcome?.kind, 'delivered', outcome?.text ?? '')
  assert.match(String(outcome?.tls), /^TLSv1\./)
  assert.deepEqual(implicit.taken, [{ user: 'shop', isSecure: true, to: ['bob@implicit.example'] }])
})

test('a verified smtps:// smarthost with a certificate of nobody gets neither login nor mail', async () => {
  const { outcome } = await outcomeOf('bob@implicit-stranger.example')
  assert.deepEqual([outcome?.kind, outcome?.stage, outcome?.category], ['deferred', 'starttls', 'tls'])
  assert.deepEqual([implicitStranger.logins, implicitStranger.taken], [[], []])
})

test('a verified smarthost whose certificate is for another name gets neither login nor mail', async () => {
  for (const [to, smarthost] of [
    ['bob@misnamed.example', misnamed],
    ['bob@implicit-misnamed.example', implicitMisnamed],
  ] as const) {
    const { outcome } = await outcomeOf(to)
    assert.deepEqual([outcome?.kind, outcome?.stage, outcome?.category], ['deferred', 'starttls', 'tls'])
    assert.match(outcome?.text ?? '', /certificate is not valid for 127\.0\.0\.1/)
    assert.deepEqual([smarthost.logins, smarthost.taken], [[], []])
  }
})

test('a smarthost that gave a certificate of nobody may serve a route that asks for no proof', async () => {
  const { outcome } = await outcomeOf('bob@unproven.example')
  // It wants a login, which this route has not: the answer to MAIL shows that TLS was accepted.
  assert.deepEqual([outcome?.stage, outcome?.code], ['mail', 530], outcome?.text ?? '')
  assert.match(String(outcome?.tls), /^TLSv1\./)
})

test('an smtps:// smarthost that greets in clear text gets nothing', async () => {
  const { length } = honest.taken
  const { outcome } = await outcomeOf('bob@no-tls-there.example')
  assert.deepEqual([outcome?.kind, outcome?.stage], ['deferred', 'starttls'])
  assert.equal(honest.taken.length, length)
})

test('queue reroute sends to an smtps:// smarthost, and refuses other schemes', async () => {
  const id = (await outcomeOf('bob@no-tls-there.example')).messageId!
  const wrong = await house.command('queue', 'reroute', id, '--smarthost', 'https://x', '--yes')
  assert.notEqual(wrong.code, 0)
  assert.match(wrong.stderr, /smtps:\/\//)
  const { seq } = (await eventsOf(house.server)).at(-1)!
  await house.server.json('queue', 'reroute', id, '--smarthost', `smtps://${implicitStranger.address}`)
  const { outcome } = await nextOutcome(id, seq)
  assert.equal(outcome?.remoteAddress, implicitStranger.address)
  assert.match(String(outcome?.tls), /^TLSv1\./)
})

test('a refused login is not held against another login at the same smarthost', async () => {
  const refused = await outcomeOf('bob@forgotten.example')
  assert.equal(refused.outcome?.stage, 'auth')
  const { outcome } = await outcomeOf('after@honest.example')
  assert.equal(outcome?.kind, 'delivered', outcome?.text ?? '')
})

test('a wrong password defers, says so, and a reload with the right one delivers', async () => {
  const to = 'bob@forgotten.example'
  const first = await outcomeOf(to)
  const { kind, stage, category, scope } = first.outcome!
  assert.deepEqual([kind, stage, category, scope], ['deferred', 'auth', 'credentials', 'configuration'])
  writeFileSync(join(folder, 'changing-password'), password)
  const { length } = house.server.output
  house.server.signal('SIGHUP')
  while (!house.server.output.slice(length).includes('config.reloaded'))
    await new Promise(resolve => setTimeout(resolve, 20))
  await house.server.json('queue', 'retry', first.messageId!)
  const second = await nextOutcome(first.messageId!, first.seq)
  assert.equal(second.outcome?.kind, 'delivered', second.outcome?.text ?? '')
})

test('no password is in the log, in an event or in a listing', async () => {
  const shown = [
    house.server.output,
    (await house.command('events')).stdout,
    (await house.command('queue', 'list', '--json')).stdout,
    (await house.command('doctor', '--json')).stdout,
  ]
  for (const text of shown) for (const secret of [password, wrongPassword]) assert.ok(!text.includes(secret))
})

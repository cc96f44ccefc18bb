// Situation: configuration and certificates change while Postrider runs, rightly and wrongly.
//
// SIGHUP puts what is right in force for new connections and drops nobody; what is wrong changes nothing and is logged.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeCertificate } from '../../src/config/index.ts'
import { startLabDns } from '../../src/lab/index.ts'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort, nodePath, Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { hasFaultTools, waitForLog } from './support/faults.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let first: Receiver
let second: Receiver
let house: House
let folder: string

before(async () => {
  first = await Receiver.start()
  second = await Receiver.start()
  folder = mkdtempSync(join(tmpdir(), 'postrider-reload-'))
  writeCertificate()
  house = await House.open(`${first.route}[tls]\ncertificate = "relay.pem"\nkey = "relay.key"\n`, {
    folder,
    relay: 'networks = ["127.0.5.0/24"]\naccount = "acme"',
  })
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
})

/** Writes a new certificate and its key; gives its fingerprint. */
function writeCertificate(name: string = 'relay.example'): string {
  const { certificatePem, privateKeyPem } = makeCertificate({
    commonName: name,
    names: [name],
    notBeforeMs: Date.now() - 60_000,
    notAfterMs: Date.now() + 30 * 86_400_000,
    randomBytes,
  })
  writeFileSync(join(folder, 'relay.pem'), certificatePem)
  writeFileSync(join(folder, 'relay.key'), privateKeyPem)
  return new X509Certificate(certificatePem).fingerprint256
}

const countOf = (event: string): number => house.server.output.split(`"${event}"`).length - 1

/** Sends SIGHUP and waits until the log tells this event once more. */
async function reload(event: 'config.reloaded' | 'config.refused' | 'tls.refused'): Promise<void> {
  const before = countOf(event)
  house.server.signal('SIGHUP')
  for (let round = 0; countOf(event) === before; round++) {
    assert.ok(round < 2400, `no ${event}: ${house.server.output.slice(-2000)}`)
    await sleep(25)
  }
}

function editConfig(from: string, to: string): void {
  const text = readFileSync(house.server.configPath, 'utf8')
  assert.ok(text.includes(from), `${from} is in ${text}`)
  writeFileSync(house.server.configPath, text.replace(from, to))
}

async function shownCertificate(): Promise<string> {
  await using client = await SmtpClient.connect(house.ports.submissions, { isTls: true })
  return new X509Certificate(client.peerCertificate).fingerprint256
}

test('a new certificate is served to new connections, and an open session goes on', async () => {
  await using open = await house.client()
  await open.command('MAIL FROM:<ann@acme.example>')
  const before = await shownCertificate()
  const renewed = writeCertificate()
  assert.notEqual(renewed, before)
  await reload('config.reloaded')
  assert.equal(await shownCertificate(), renewed)
  await using client = await house.client()
  assert.equal(new X509Certificate(client.peerCertificate).fingerprint256, renewed, 'STARTTLS too')
  assert.equal(new X509Certificate(open.peerCertificate).fingerprint256, before)
  await open.command('RCPT TO:<bob@there.example>')
  await open.command('DATA')
  open.write(`${message()}\r\n.\r\n`)
  await waitForAll(house.server, [queuedId(await open.reply())], 'delivered')
})

test('settings of a listener change for new connections', async () => {
  const greet = async (): Promise<SmtpClient> => {
    const client = await SmtpClient.connect(house.ports.relay, { localAddress: '127.0.6.1' })
    await client.hello()
    return client
  }
  await using before = await greet()
  assert.equal((await before.command('MAIL FROM:<ann@acme.example>')).code, 530)
  editConfig('"127.0.5.0/24"', '"127.0.5.0/24", "127.0.6.0/24"')
  await reload('config.reloaded')
  await using client = await greet()
  queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
})

test('routes change for what is sent from then on', async () => {
  editConfig(`127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`)
  await reload('config.reloaded')
  await using client = await house.client()
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  await waitForAll(house.server, [id], 'delivered')
  assert.ok(second.messages.some(one => one.content.includes(id)))
})

test('a configuration with a mistake changes nothing, and the log names the mistake', async () => {
  const shown = await shownCertificate()
  const text = readFileSync(house.server.configPath, 'utf8')
  writeCertificate()
  writeFileSync(house.server.configPath, `hostnane = "x"\n${text.replace('127.0.6.0/24', '127.0.7.0/24')}`)
  await reload('config.refused')
  assert.match(house.server.output, /hostnane/)
  writeFileSync(house.server.configPath, 'this is [not TOML')
  await reload('config.refused')
  assert.equal(await shownCertificate(), shown)
  await using inside = await SmtpClient.connect(house.ports.relay, { localAddress: '127.0.6.1' })
  await inside.hello()
  assert.equal((await inside.command('MAIL FROM:<ann@acme.example>')).code, 250)
  writeFileSync(house.server.configPath, text)
})

test('a certificate that does not fit its key is refused, and the old one stays', async () => {
  const shown = await shownCertificate()
  const key = readFileSync(join(folder, 'relay.key'))
  writeCertificate()
  writeFileSync(join(folder, 'relay.key'), key)
  await reload('tls.refused')
  writeFileSync(join(folder, 'relay.pem'), 'nothing of a certificate')
  await reload('tls.refused')
  assert.equal(await shownCertificate(), shown)
  const renewed = writeCertificate()
  await reload('config.reloaded')
  assert.equal(await shownCertificate(), renewed, 'a later good one is taken')
})

test('a certificate that OpenSSL refuses is refused with its reason, and the rest of the configuration is in force', async () => {
  const shown = await shownCertificate()
  const reloads = countOf('tls.reloaded')
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-days', '30', '-subj', '/CN=relay.example'],
      ...['-keyout', join(folder, 'relay.key'), '-out', join(folder, 'relay.pem')],
    ],
    { stdio: 'pipe' },
  )
  editConfig('"127.0.6.0/24"', '"127.0.6.0/24", "127.0.8.0/24"')
  await reload('config.reloaded')
  assert.match(house.server.output, /"tls\.refused".*relay\.pem.*ee key too small.*2048 bits/)
  assert.equal(countOf('tls.reloaded'), reloads)
  assert.equal(await shownCertificate(), shown)
  await using client = await SmtpClient.connect(house.ports.relay, { localAddress: '127.0.8.1' })
  await client.hello()
  assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
  writeCertificate()
  await reload('config.reloaded')
})

test('what a start would warn about, a reload warns about too', async () => {
  const before = countOf('config.warning')
  writeCertificate('old.example')
  await reload('config.reloaded')
  assert.equal(countOf('config.warning'), before + 1)
  assert.match(house.server.output, /"config\.warning".*the certificate does not name relay\.example/)
  writeCertificate()
  await reload('config.reloaded')
})

test('an account that a listener names after a reload and that does not exist is told', async () => {
  const before = countOf('listener.account-missing')
  await reload('config.reloaded')
  assert.equal(countOf('listener.account-missing'), before)
  editConfig('account = "acme"', 'account = "late"')
  await reload('config.reloaded')
  assert.equal(countOf('listener.account-missing'), before + 1)
  editConfig('account = "late"', 'account = "acme"')
  await reload('config.reloaded')
})

test('other DNS servers are asked at once, and what failed by the old ones goes', async t => {
  const zone = {
    name: 'example',
    records: [
      { name: 'there.example', type: 'MX', data: { preference: 5, exchange: 'mx.there.example' } },
      { name: 'mx.there.example', type: 'A', data: '127.0.0.1' },
    ],
  } as const
  const dns = await startLabDns({ zones: [zone] })
  t.after(() => dns.close())
  const deadPort = await freePort()
  await using asking = await House.open(
    `[dns]\nservers = ["127.0.0.1:${deadPort}"]\n[delivery]\nport = ${first.port}\nallow_private = ["127.0.0.0/8"]\n[retry]\nschedule = ["1h"]\n`,
  )
  const { server } = asking
  await using client = await asking.client()
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  const events = await waitForAll(server, [id], 'deferred')
  assert.equal(events.find(one => one.type === 'deferred')?.outcome?.category, 'dns-failure')
  const text = readFileSync(server.configPath, 'utf8')
  writeFileSync(server.configPath, text.replace(`127.0.0.1:${deadPort}`, `127.0.0.1:${dns.port}`))
  server.signal('SIGHUP')
  await waitForLog(() => server.output, 'config.reloaded')
  assert.match(server.output, new RegExp(`dns\\.servers-changed.*127\\.0\\.0\\.1:${dns.port}`))
  assert.doesNotMatch(server.output, /needs a restart/)
  await server.json('queue', 'retry', id)
  await waitForAll(server, [id], 'delivered')
})

test('what needs a restart is said, not silently ignored', async () => {
  editConfig('hostname = "relay.example"', 'hostname = "other.example"')
  await reload('config.reloaded')
  assert.match(house.server.output, /config\.warning.*hostname.*needs a restart/)
  await using client = await SmtpClient.open(house.ports.submission)
  assert.match((await client.reply()).text, /relay\.example/)
})

test('a SIGHUP before the server is ready ends nothing: it reloads once it is, and one during the drain is let be', async () => {
  await using server = await Postrider.launch({ toml: '' })
  const output = (): string => server.output
  await waitForLog(output, 'server.starting')
  server.signal('SIGHUP')
  await server.ready()
  await waitForLog(output, 'config.reloaded')
  assert.ok(output().indexOf('"server.ready"') < output().indexOf('"config.reloaded"'))
  server.signal('SIGTERM')
  server.signal('SIGHUP')
  assert.equal(await server.ended(), 0)
})

test(
  'sessions that were cut to the descriptors at start are no change that a reload tells of',
  needsMachine(hasFaultTools, 'prlimit'),
  async () => {
    await using narrow = await House.open('[delivery]\nconnections_total = 500\n', {
      wrapper: ['prlimit', '--nofile=1000'],
    })
    const { server } = narrow
    const told = (): string => server.output.slice(server.output.indexOf('"server.ready"'))
    const text = readFileSync(server.configPath, 'utf8')
    writeFileSync(server.configPath, text.replace('connections_total = 500', 'connections_total = 100'))
    server.signal('SIGHUP')
    for (let round = 0; !told().includes('"config.reloaded"'); round++) {
      assert.ok(round < 2400, told())
      await sleep(25)
    }
    assert.doesNotMatch(told(), /needs a restart/)
  },
)

test('a SIGHUP before the program is loaded ends a server no more, and every other command as before', async () => {
  // Sent by a preloaded module at the moment when main.ts asks for the command line.
  const hook = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) {
      if (name.endsWith('/cli/index.ts')) process.kill(process.pid, 'SIGHUP')
      return next(name, context)
    } })`
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` }
  await using server = await Postrider.start({ toml: '', env })
  for (let round = 0; !server.output.includes('"config.reloaded"'); round++) {
    assert.ok(round < 1200, server.output)
    await sleep(25)
  }
  assert.equal(await server.stop(), 0)
  const main = new URL('../../src/main.ts', import.meta.url).pathname
  const command = spawnSync(nodePath, [main, '--config', 'serve', 'account', 'list'], {
    env: { ...process.env, ...env },
  })
  assert.equal(command.signal, 'SIGHUP')
})

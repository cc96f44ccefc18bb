// Situation: Postrider is started as root, takes a low port, and becomes another user; all of it, every thread.
//
// Only root can become somebody else: for any other user the one test here is that `user` does no harm.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeCertificate } from '../../src/config/index.ts'
import { needsMachine } from '../support/needs-machine.ts'
import { Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { FailingCalls, hasFaultTools } from './support/faults.ts'
import { makeAccount, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const isRoot = process.getuid?.() === 0
const nobody = Number(/^nobody:[^:]*:(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[1])

async function freeLowPort(): Promise<number> {
  for (let port = 251; port < 1024; port++) {
    const server = net.createServer()
    const isFree = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    await new Promise<void>(resolve => (isFree ? server.close(() => resolve()) : resolve()))
    if (isFree) return port
  }
  throw new Error('no low port is free')
}

/** The folder may be entered by everybody, as /etc and /var/lib are. */
function publicFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-user-'))
  chmodSync(folder, 0o755)
  return folder
}

interface ThreadRights {
  readonly uids: readonly number[]
  readonly gids: readonly number[]
  readonly groups: string
  readonly capabilities: string
}

function threadsOf(pid: number): ThreadRights[] {
  return readdirSync(`/proc/${pid}/task`).map(task => {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8')
    const field = (name: string): string =>
      new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
    const numbers = (name: string): number[] => field(name).split(/\s+/).map(Number)
    return {
      uids: numbers('Uid'),
      gids: numbers('Gid'),
      groups: field('Groups'),
      capabilities: field('CapEff'),
    }
  })
}

/** Dead segments, which the store deletes as it starts, and files enough that handing them over takes a while. */
function writeManyFiles(dataDir: string): void {
  for (let number = 1; number <= 1000; number++) writeFileSync(join(dataDir, 'segments', `${number}.seg`), '')
  for (let folder = 0; folder < 10; folder++) {
    mkdirSync(join(dataDir, `other-${folder}`))
    for (let number = 0; number < 1000; number++)
      writeFileSync(join(dataDir, `other-${folder}`, `${number}`), '')
  }
}

/** Connects as soon as the port is open. */
async function firstConnection(port: number): Promise<SmtpClient> {
  for (let round = 0; ; round++) {
    try {
      const client = await SmtpClient.connect(port)
      await client.hello()
      return client
    } catch (error) {
      if (round > 20_000) throw error
      await sleep(2)
    }
  }
}

test(
  'with `user` every thread loses root after the low port is bound, and mail still comes in and goes out',
  needsMachine(isRoot, 'root'),
  async () => {
    await using receiver = await Receiver.start()
    const folder = publicFolder()
    const port = await freeLowPort()
    const toml = `user = "nobody"\n${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "submission"\n`
    const server = await Postrider.start({ toml, folder })
    const threads = threadsOf(server.processId)
    assert.ok(threads.length > 5, `${threads.length} threads`)
    for (const { uids, gids, groups, capabilities } of threads) {
      assert.deepEqual(new Set(uids), new Set([nobody]))
      assert.ok(!gids.includes(0))
      assert.ok(!groups.split(/\s+/).includes('0'), groups)
      assert.match(capabilities, /^0+$/)
    }
    const login = await makeAccount(server, 'acme', 'acme.example')
    await using client = await SmtpClient.connect(port)
    await client.login(login.username, login.secret)
    // A small one goes into the database, a large one into a segment file.
    const large = message([], `${'x'.repeat(70)}\r\n`.repeat(3000))
    const ids = [
      queuedId(await client.send('ann@acme.example', 'bob@there.example', message())),
      queuedId(await client.send('ann@acme.example', 'bob@there.example', large)),
    ]
    await waitForAll(server, ids, 'delivered')
    for (const name of readdirSync(server.dataDir, { recursive: true, encoding: 'utf8' }))
      assert.equal(statSync(join(server.dataDir, name)).uid, nobody, name)
    assert.equal(statSync(server.dataDir).mode & 0o077, 0, 'nobody else may look into the data folder')
    server.signal('SIGHUP')
    queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
    assert.equal(await server.stop(), 0)
    await using again = await Postrider.start({ toml, folder })
    const events = await waitForAll(again, ids, 'delivered')
    assert.ok(events.length >= 4)
  },
)

test(
  'a low port is still open after accept has failed for a while, which nobody could open again',
  needsMachine(isRoot && hasFaultTools, 'root and strace'),
  async () => {
    const port = await freeLowPort()
    const toml = `user = "nobody"\n[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "submission"\n`
    await using server = await Postrider.start({ toml, folder: publicFolder() })
    const waiting: Promise<SmtpClient>[] = []
    {
      await using _failing = await FailingCalls.start(server.processId, { calls: 'accept4', error: 'ENOMEM' })
      for (let i = 0; i < 5; i++) waiting.push(SmtpClient.connect(port))
      // Longer than a door that closes for a second would have been closed.
      await sleep(1500)
    }
    for (const client of await Promise.all(waiting)) await client[Symbol.asyncDispose]()
    await using after = await SmtpClient.connect(port)
    await after.hello()
  },
)

test(
  'a data folder that the user cannot reach is refused with one sentence',
  needsMachine(isRoot, 'root'),
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'postrider-user-'))
    chmodSync(folder, 0o700)
    await using server = await Postrider.launch({ toml: 'user = "nobody"\n', folder })
    assert.equal(await server.ended(), 1)
    const lines = server.output.split('\n').filter(line => line.startsWith('postrider: '))
    assert.equal(lines.length, 1, server.output)
    assert.match(lines[0]!, /nobody/)
    assert.doesNotMatch(server.output, /server\.ready/)
  },
)

test(
  'what is made while it starts belongs to the user: also a large message that comes in at the first moment, and it can be delivered later',
  needsMachine(isRoot, 'root'),
  async () => {
    let isTaking = false
    await using receiver = await Receiver.start({ rcpt: () => (isTaking ? '250 ok' : '451 4.0.0 later') })
    const folder = publicFolder()
    const port = await freeLowPort()
    const toml = `user = "nobody"\n${receiver.route}[retry]\nschedule = ["1s"]\n[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\naccount = "acme"\nnetworks = ["127.0.0.0/8"]\n`
    {
      const first = await Postrider.start({ toml, folder })
      await makeAccount(first, 'acme', 'acme.example')
      assert.equal(await first.stop(), 0)
      writeManyFiles(first.dataDir)
    }
    await using server = await Postrider.launch({ toml, folder })
    const large = message([], `${'x'.repeat(70)}\r\n`.repeat(3000))
    await using client = await firstConnection(port)
    const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', large))
    await server.ready()
    for (const name of readdirSync(server.dataDir, { recursive: true, encoding: 'utf8' })) {
      const found = lstatSync(join(server.dataDir, name), { throwIfNoEntry: false })
      if (found !== undefined) assert.equal(found.uid, nobody, name)
    }
    await waitForAll(server, [id], 'deferred')
    isTaking = true
    await waitForAll(server, [id], 'delivered')
  },
)

test(
  'what the user has put into the data folder makes root neither write nor give away files of others',
  needsMachine(isRoot, 'root'),
  async () => {
    const folder = publicFolder()
    const toml = 'user = "nobody"\n'
    const first = await Postrider.start({ toml, folder })
    assert.equal(await first.stop(), 0)
    const outside = mkdtempSync(join(tmpdir(), 'postrider-others-'))
    mkdirSync(join(outside, 'folder'))
    for (const name of ['file', 'folder/inside', 'linked'])
      writeFileSync(join(outside, name), 'kept', { mode: 0o600 })
    symlinkSync(join(outside, 'file'), join(first.dataDir, 'lock.pid'))
    symlinkSync(join(outside, 'folder'), join(first.dataDir, 'a-folder'))
    symlinkSync(join(outside, 'file'), join(first.dataDir, 'a-file'))
    const untouched = (): void => {
      for (const name of ['file', 'folder', 'folder/inside', 'linked'])
        assert.equal(statSync(join(outside, name)).uid, 0, name)
      for (const name of ['file', 'folder/inside', 'linked'])
        assert.equal(readFileSync(join(outside, name), 'utf8'), 'kept', name)
    }
    {
      const again = await Postrider.start({ toml, folder })
      untouched()
      assert.equal(await again.stop(), 0)
    }
    rmSync(join(first.dataDir, 'lock'))
    symlinkSync(join(outside, 'made-by-root'), join(first.dataDir, 'lock'))
    const unlocked = await Postrider.launch({ toml, folder })
    assert.equal(await unlocked.ended(), 1)
    assert.match(unlocked.output, /^postrider: .*data\/lock is not a file/m)
    assert.equal(existsSync(join(outside, 'made-by-root')), false)
    rmSync(join(first.dataDir, 'lock'))
    const linked = join(first.dataDir, 'segments', '1.seg')
    linkSync(join(outside, 'linked'), linked)
    await using refused = await Postrider.launch({ toml, folder })
    assert.equal(await refused.ended(), 1)
    untouched()
    const lines = refused.output.split('\n').filter(line => line.startsWith('postrider: '))
    assert.equal(lines.length, 1, refused.output)
    assert.ok(lines[0]!.includes(linked), refused.output)
    rmSync(outside, { recursive: true })
  },
)

test(
  'a certificate that only root may read and HTTP on a low port are had before root is given up',
  needsMachine(isRoot, 'root'),
  async () => {
    const folder = publicFolder()
    const http = await freeLowPort()
    const pair = makeCertificate({
      commonName: 'relay.example',
      names: ['relay.example'],
      notBeforeMs: Date.now() - 60_000,
      notAfterMs: Date.now() + 30 * 86_400_000,
      randomBytes,
    })
    writeFileSync(join(folder, 'relay.pem'), pair.certificatePem, { mode: 0o600 })
    writeFileSync(join(folder, 'relay.key'), pair.privateKeyPem, { mode: 0o600 })
    await using server = await Postrider.launch({
      toml: 'user = "nobody"\n[tls]\ncertificate = "relay.pem"\nkey = "relay.key"\n',
      folder,
      env: { POSTRIDER_HTTP__ADDRESS: `127.0.0.1:${http}` },
    })
    for (let round = 0; ; round++) {
      const answer = await fetch(`http://127.0.0.1:${http}/readyz`).catch(() => null)
      if (answer?.status === 200) break
      assert.ok(round < 1200, server.output)
      await sleep(50)
    }
    for (const { uids } of threadsOf(server.processId)) assert.deepEqual(new Set(uids), new Set([nobody]))
    assert.equal(await server.stop(), 0)
  },
)

/** A user that is in a group of root's, as `usermod -aG ssl-cert` makes it. The files are put back. */
class GroupMember implements Disposable {
  readonly name = `postrider-test-${process.pid}`
  readonly groupId = 61_234
  readonly #before = new Map(['/etc/passwd', '/etc/group'].map(path => [path, readFileSync(path, 'utf8')]))

  constructor() {
    const userId = 61_235
    appendFileSync('/etc/passwd', `${this.name}:x:${userId}:${userId}::/nonexistent:/usr/sbin/nologin\n`)
    appendFileSync('/etc/group', `${this.name}-keys:x:${this.groupId}:${this.name}\n`)
  }

  [Symbol.dispose](): void {
    for (const [path, text] of this.#before) writeFileSync(path, text)
  }
}

test(
  'a reload reads a renewed certificate that the groups of the user may read',
  needsMachine(isRoot, 'root'),
  async () => {
    using user = new GroupMember()
    const folder = publicFolder()
    const renew = (): void => {
      const { certificatePem, privateKeyPem } = makeCertificate({
        commonName: 'relay.example',
        names: ['relay.example'],
        notBeforeMs: Date.now() - 60_000,
        notAfterMs: Date.now() + 30 * 86_400_000,
        randomBytes,
      })
      for (const [name, pem] of [
        ['relay.pem', certificatePem],
        ['relay.key', privateKeyPem],
      ] as const) {
        writeFileSync(join(folder, name), pem, { mode: 0o640 })
        chownSync(join(folder, name), 0, user.groupId)
      }
    }
    renew()
    await using server = await Postrider.start({
      toml: `user = "${user.name}"\n[tls]\ncertificate = "relay.pem"\nkey = "relay.key"\n`,
      folder,
    })
    renew()
    server.signal('SIGHUP')
    for (let round = 0; !server.output.includes('"config.reloaded"'); round++) {
      assert.ok(round < 1200, server.output)
      await sleep(50)
    }
    assert.match(server.output, /"tls\.reloaded"/)
    for (const { uids, groups } of threadsOf(server.processId)) {
      assert.ok(uids.every(uid => uid !== 0))
      assert.ok(groups.split(/\s+/).includes(`${user.groupId}`) && !groups.split(/\s+/).includes('0'), groups)
    }
  },
)

test('as root without `user` it warns and serves', needsMachine(isRoot, 'root'), async () => {
  await using server = await Postrider.start({ toml: '' })
  assert.match(server.output, /runs as root/)
})

test('a `user` that one already is does no harm', async () => {
  const name = new RegExp(`^([^:]+):[^:]*:${process.getuid?.()}:`, 'm').exec(
    readFileSync('/etc/passwd', 'utf8'),
  )?.[1]
  await using server = await Postrider.start({ toml: name === undefined ? '' : `user = "${name}"\n` })
  await server.json('account', 'create', 'acme')
})

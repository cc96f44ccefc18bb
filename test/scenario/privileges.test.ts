// Situation: Postrider is started as root, takes a low port, and becomes another user; all of it, every thread.
//
// Only root can become somebody else: for any other user the one test here is that `user` does no harm.

import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
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

// Situation: Postrider cannot start, because of its configuration, its ports or its data folder.
//
// Each time: one clear sentence that says what is wrong and where, a non-zero exit code, no stack trace, and nothing
// damaged: what was there before is there afterwards.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { freePort, nodePath, Postrider, postriderCommand } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-refused-'))
  folders.push(folder)
  return folder
}

/** Starts with this text as the whole configuration and gives the lines on stderr; it must end with code 1. */
async function refused(folder: string, toml: string): Promise<string[]> {
  writeFileSync(join(folder, 'postrider.toml'), toml)
  const { code, stderr, stdout } = await postriderCommand(
    ['serve', '--config', join(folder, 'postrider.toml')],
    folder,
  )
  assert.equal(code, 1, `${stdout}${stderr}`)
  assert.doesNotMatch(stderr, /^\s+at /m, 'no stack trace')
  const lines = stderr.split('\n').filter(line => line !== '')
  for (const line of lines) assert.match(line, /^postrider: /)
  return lines
}

async function oneSentence(folder: string, toml: string): Promise<string> {
  const lines = await refused(folder, toml)
  assert.equal(lines.length, 1, lines.join('\n'))
  return lines[0]!
}

const ordinary = async (): Promise<string> =>
  `hostname = "relay.example"\ndata_dir = "data"\n[http]\naddress = "127.0.0.1:${await freePort()}"\n[[listener]]\naddress = "127.0.0.1:${await freePort()}"\nkind = "relay"\n`

test('an unknown key is named with its line and the nearest key', async () => {
  const folder = newFolder()
  const line = await oneSentence(folder, 'hostnane = "relay.example"\ndata_dir = "data"\n')
  assert.match(line, /postrider\.toml:1/)
  assert.match(line, /hostnane/)
  assert.match(line, /hostname/)
  assert.deepEqual(readdirSync(folder), ['postrider.toml'], 'nothing was made')
})

test('an unknown key in a section and an unknown section are named too, all at once', async () => {
  const lines = await refused(newFolder(), '[retry]\nshedule = ["1m"]\n[delivry]\nport = 25\n')
  assert.equal(lines.length, 2)
  assert.match(lines.join('\n'), /shedule.*schedule/)
  assert.match(lines.join('\n'), /delivry.*delivery/)
})

for (const [name, toml, words] of [
  ['a value of the wrong form', '[retry]\nschedule = ["soon"]\n', /schedule.*soon/],
  ['a number out of range', '[delivery]\nport = 70000\n', /port/],
  ['a text where a number belongs', '[delivery]\nport = "25"\n', /port/],
  ['a listener without an address', '[[listener]]\nkind = "relay"\n', /address/],
  [
    'a kind that does not exist',
    '[[listener]]\naddress = "127.0.0.1:1"\nkind = "smtp"\n',
    /kind.*submission/,
  ],
  [
    'a network that is none',
    '[[listener]]\naddress = "127.0.0.1:1"\nkind = "relay"\nnetworks = ["10/8"]\n',
    /networks.*10\/8/,
  ],
  [
    'a certificate that is not there',
    '[tls]\ncertificate = "none.pem"\nkey = "none.key"\n',
    /none\.(pem|key)/,
  ],
  ['a user that does not exist', 'user = "no-such-user-here"\n', /no-such-user-here/],
] as const) {
  test(`${name} is refused with its place`, async () => {
    assert.match(await oneSentence(newFolder(), toml), words)
  })
}

test('TOML that cannot be read is refused with line and column, or the place of it', async () => {
  for (const toml of ['hostname = \n', 'hostname = "a"\nhostname = "b"\n', '[[listener\n', '\0\0\0']) {
    assert.match(await oneSentence(newFolder(), toml), /postrider\.toml:\d+/)
  }
})

test('a configuration file that is not there is said by its path', async () => {
  const folder = newFolder()
  const { code, stderr } = await postriderCommand(['serve', '--config', join(folder, 'gone.toml')], folder)
  assert.equal(code, 1)
  assert.match(stderr, /gone\.toml/)
})

test('a busy port is named, with a way to find out who has it', async () => {
  const port = await freePort()
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  const toml = `data_dir = "data"\n[http]\naddress = "off"\n[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\n`
  const line = await oneSentence(newFolder(), toml)
  assert.ok(line.includes(`127.0.0.1:${port}`), line)
  const http = `data_dir = "data"\n[http]\naddress = "127.0.0.1:${port}"\n[[listener]]\naddress = "127.0.0.1:${await freePort()}"\nkind = "relay"\n`
  assert.ok((await oneSentence(newFolder(), http)).includes(`127.0.0.1:${port}`))
  await new Promise(resolve => server.close(resolve))
})

test('a port of the lab that is busy is named with its key', async () => {
  const [mxPort, dnsPort] = [await freePort(), await freePort()]
  const servers = [net.createServer(), net.createServer()] as const
  await new Promise<void>(resolve => servers[0].listen(mxPort, '127.77.0.1', resolve))
  await new Promise<void>(resolve => servers[1].listen(dnsPort, '127.0.0.1', resolve))
  try {
    const mx = await oneSentence(
      newFolder(),
      `${await ordinary()}[lab]\nenabled = true\nmx_port = ${mxPort}\n`,
    )
    assert.match(
      mx,
      new RegExp(`^postrider: \\[lab\\] mx_port: another program has 127\\.77\\.0\\.1:${mxPort} \\(`),
    )
    const dns = await oneSentence(
      newFolder(),
      `${await ordinary()}[lab]\nenabled = true\ndns_port = ${dnsPort}\n`,
    )
    assert.match(
      dns,
      new RegExp(`^postrider: \\[lab\\] dns_port: another program has 127\\.0\\.0\\.1:${dnsPort} \\(`),
    )
  } finally {
    for (const server of servers) server.close()
  }
})

test('any port of an address that is not ours is refused with the address', async () => {
  const toml =
    'data_dir = "data"\n[http]\naddress = "off"\n[[listener]]\naddress = "203.0.113.9:0"\nkind = "relay"\n'
  assert.equal(
    await oneSentence(newFolder(), toml),
    'postrider: 203.0.113.9:0: this machine does not have this address (see: ip address)',
  )
})

test('a certificate that OpenSSL refuses is refused with its key in the file and a next step', async () => {
  const folder = newFolder()
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-days', '30', '-subj', '/CN=relay.example'],
      ...['-keyout', join(folder, 'weak.key'), '-out', join(folder, 'weak.pem')],
    ],
    { stdio: 'pipe' },
  )
  const toml = `${await ordinary()}[tls]\ncertificate = "weak.pem"\nkey = "weak.key"\n`
  assert.match(
    await oneSentence(folder, toml),
    /^postrider: \[tls\] certificate: .*weak\.pem .*ee key too small.*2048 bits/,
  )
})

test('a port that another Postrider has is refused as well, and that one goes on', async () => {
  await using receiver = await Receiver.start()
  await using house = await House.open(receiver.route)
  const toml = `data_dir = "data"\n[http]\naddress = "off"\n[[listener]]\naddress = "127.0.0.1:${house.ports.submission}"\nkind = "submission"\n`
  const line = await oneSentence(newFolder(), toml)
  assert.ok(line.includes(`127.0.0.1:${house.ports.submission}`), line)
  for (let round = 0; round < 5; round++) {
    await using client = await house.client()
    queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  }
})

test('of two servers that start on the same ports at the same moment exactly one gets ready', async () => {
  const port = await freePort()
  const toml = `[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\n`
  const servers = await Promise.all([Postrider.launch({ toml }), Postrider.launch({ toml })])
  try {
    const starts = await Promise.all(
      servers.map(server =>
        server.ready().then(
          () => null,
          (error: Error) => error.message,
        ),
      ),
    )
    const [refusal, ...more] = starts.filter(start => start !== null)
    assert.ok(refusal !== undefined, 'both serve')
    assert.deepEqual(more, [], 'neither serves')
    assert.match(refusal, new RegExp(`ended with 1: .*postrider: 127.0.0.1:${port}: another program`, 's'))
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]()
  }
})

test('a second server on the same data is refused with the number of the first, and nothing is lost', async () => {
  await using receiver = await Receiver.start()
  await using house = await House.open(receiver.route)
  await using client = await house.client()
  const toml = `data_dir = ${JSON.stringify(house.server.dataDir)}\n[http]\naddress = "off"\n[[listener]]\naddress = "127.0.0.1:${await freePort()}"\nkind = "relay"\n`
  const line = await oneSentence(newFolder(), toml)
  assert.ok(line.includes(String(house.server.processId)), line)
  assert.ok(line.includes(house.server.dataDir), line)
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  await waitForAll(house.server, [id], 'delivered')
})

test('a data folder that cannot be made or written is refused', async () => {
  const folder = newFolder()
  writeFileSync(join(folder, 'file'), 'kept')
  assert.match(await oneSentence(folder, 'data_dir = "file/data"\n'), /file\/data/)
  assert.match(await oneSentence(folder, 'data_dir = "file"\n'), /file/)
  assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'kept')
})

test('a data folder of somebody else is refused without rights to write it', async () => {
  const folder = newFolder()
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'data'))
  writeFileSync(join(folder, 'postrider.toml'), await ordinary())
  chmodSync(join(folder, 'data'), 0o555)
  const { code, stderr } = await asNobody(['serve', '--config', join(folder, 'postrider.toml')], folder)
  assert.equal(code, 1, stderr)
  assert.match(stderr, /^postrider: .*data/)
  assert.deepEqual(readdirSync(join(folder, 'data')), [])
})

/** A data folder with a delivered and a waiting message. */
async function usedFolder(): Promise<string> {
  await using receiver = await Receiver.start({
    rcpt: path => (path.startsWith('later') ? '451 4.0.0 later' : '250 ok'),
  })
  const folder = newFolder()
  const house = await House.open(receiver.route, { folder })
  await using client = await house.client()
  const ids = [
    queuedId(await client.send('ann@acme.example', 'bob@there.example', message())),
    queuedId(await client.send('ann@acme.example', 'later@there.example', message())),
  ]
  await waitForAll(house.server, [ids[0]!], 'delivered')
  await waitForAll(house.server, [ids[1]!], 'deferred')
  assert.equal(await house.server.stop(), 0)
  return folder
}

test('a damaged database is refused, and left as it is', async () => {
  const folder = await usedFolder()
  const path = join(folder, 'data', 'postrider.db')
  const bytes = readFileSync(path)
  const damages: readonly (readonly [string, Buffer])[] = [
    [
      'its head overwritten',
      Buffer.concat([Buffer.from('not a database at all '.repeat(5)), bytes.subarray(110)]),
    ],
    ['cut in the middle', bytes.subarray(0, Math.floor(bytes.length / 2) - 100)],
    [
      'its first page zeroed behind the head',
      Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(3996), bytes.subarray(4096)]),
    ],
  ]
  for (const [name, damaged] of damages) {
    writeFileSync(path, damaged)
    const lines = await refused(folder, await ordinary())
    assert.equal(lines.length, 1, `${name}: ${lines.join('\n')}`)
    assert.match(lines[0]!, /postrider\.db/, name)
    assert.deepEqual(readFileSync(path), damaged, `${name}: not changed`)
  }
  writeFileSync(path, bytes)
  await using server = await Postrider.start({ toml: '', folder })
  const rows = await server.json<never[]>('queue', 'list')
  assert.equal(rows.length, 1, 'the undamaged file still works')
})

test('a database of a newer Postrider is refused with both schema numbers, and left as it is', async () => {
  const folder = await usedFolder()
  const path = join(folder, 'data', 'postrider.db')
  const db = new DatabaseSync(path)
  db.exec('PRAGMA user_version = 4711')
  db.close()
  const before = readFileSync(path)
  const line = await oneSentence(folder, await ordinary())
  assert.match(line, /4711/)
  assert.match(line, /newer/)
  assert.deepEqual(readFileSync(path), before)
})

test('a database of another program is refused, and left as it is', async () => {
  const folder = newFolder()
  mkdirSync(join(folder, 'data'))
  const path = join(folder, 'data', 'postrider.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE theirs (a)')
  db.close()
  const before = readFileSync(path)
  assert.match(await oneSentence(folder, await ordinary()), /postrider\.db/)
  assert.deepEqual(readFileSync(path), before)
})

test('without a server the CLI says how to start one', async () => {
  const folder = newFolder()
  writeFileSync(join(folder, 'postrider.toml'), await ordinary())
  for (const command of [['account', 'list'], ['queue', 'list'], ['events'], ['message', 'list']]) {
    const { code, stderr } = await postriderCommand(
      [...command, '--config', join(folder, 'postrider.toml'), '--json'],
      folder,
    )
    assert.equal(code, 1)
    const { error } = JSON.parse(stderr) as { error: { hint: string; message: string } }
    assert.match(`${error.message} ${error.hint}`, /postrider serve/)
  }
})

test('a data folder with a long path is served, its control socket named in control.path', async () => {
  const folder = join(newFolder(), 'a-long-name-'.repeat(8), 'and-another-'.repeat(8))
  mkdirSync(folder, { recursive: true })
  {
    await using server = await Postrider.start({ toml: '', folder })
    const named = readFileSync(join(server.dataDir, 'control.path'), 'utf8').trim()
    assert.ok(Buffer.byteLength(named) <= 107)
    assert.ok(statSync(named).isSocket())
    await server.json('account', 'create', 'acme')
  }
})

/** Runs the CLI as the user nobody; only root can. */
async function asNobody(
  args: readonly string[],
  cwd: string,
): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const main = new URL('../../src/main.ts', import.meta.url).pathname
  const isRoot = process.getuid?.() === 0
  const child = spawn(nodePath, [main, ...args], { cwd, ...(isRoot ? { uid: 65534, gid: 65534 } : {}) })
  let stderr = ''
  child.stderr.on('data', chunk => {
    stderr += String(chunk)
  })
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  return { code, stderr }
}

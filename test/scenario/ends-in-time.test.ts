// Situation: Postrider must end, and somebody outside or something inside would keep it from that.
//
// Connections that say nothing, a thread that has died, a disk that refuses while the clock was set, a log on a full disk:
// each time the process ends by itself, with the exit code that a supervisor needs, and is not cut off only by its last bound.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { findSocket } from '../../src/api/control/index.ts'
import { needsMachine } from '../support/needs-machine.ts'
import { Postrider } from '../support/postrider.ts'
import { dyingThread } from './support/dying-thread.ts'
import { FailingCalls, FakeClock, hasFaultTools, logged, waitForLog } from './support/faults.ts'
import { House } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'postrider-ends-'))

/** How it ended; it must be soon, and by itself. */
async function ended(server: Postrider): Promise<number | string> {
  const end = await Promise.race([server.ended(), sleep(30_000, 'still there', { ref: false })])
  assert.doesNotMatch(server.output, /server\.cut-off/)
  return end
}

/** Connections to the HTTP port and the control socket that keep still, whatever they are told. */
async function silentClients(server: Postrider): Promise<Disposable> {
  const open = async (where: { port: number } | { path: string }, text: string): Promise<Socket> => {
    const socket = connect({ ...where, allowHalfOpen: true })
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.resume().write(text)
    return socket
  }
  const { httpPort: port } = server
  const sockets = [
    await open({ port }, ''),
    await open({ port }, 'GET /readyz HTTP/1.1\r\nHost: a.exam'),
    await open({ port }, 'GET /metrics HTTP/1.1\r\nHost: a.example\r\n\r\n'),
  ]
  // More than there is room for.
  for (let at = 0; at < 66; at++) sockets.push(await open({ path: findSocket(server.dataDir) }, ''))
  return {
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}

test('connections that say nothing hold up no graceful end', async () => {
  await using server = await Postrider.start({
    toml: '[[listener]]\naddress = "127.0.0.1:0"\nkind = "relay"\n',
  })
  using _clients = await silentClients(server)
  server.signal('SIGTERM')
  assert.equal(await ended(server), 0)
  assert.equal(logged(server.output, 'server.stopped').length, 1)
})

for (const thread of ['relay-0', 'store'])
  test(`when the thread ${thread} dies the process ends with 1, whoever is connected`, async () => {
    const folder = newFolder()
    const { env, die } = dyingThread(thread, folder)
    await using receiver = await Receiver.start()
    await using house = await House.open(receiver.route, { folder, env })
    const { server } = house
    using _clients = await silentClients(server)
    die()
    assert.equal(await ended(server), 1)
    // A relay thread may notice the end of the store before the main thread hears why.
    const why = `(${thread} dies here|the store thread is gone)`
    assert.match(server.output, new RegExp(`postrider: server: .*${why}.*start it again`))
  })

test('when the store dies during a drain the process ends with 1', async () => {
  const folder = newFolder()
  const { env, die } = dyingThread('store', folder)
  await using receiver = await Receiver.start()
  await using house = await House.open(receiver.route, { folder, env })
  await using client = await house.client()
  await client.command('MAIL FROM:<ann@acme.example>')
  await client.command('RCPT TO:<bob@there.example>')
  await client.command('DATA')
  house.server.signal('SIGTERM')
  await waitForLog(() => house.server.output, 'server.draining')
  die()
  assert.equal(await ended(house.server), 1)
})

test(
  'a clock that was set while the disk refuses holds up no end',
  needsMachine(hasFaultTools && FakeClock.isThere, 'strace and libfaketime'),
  async () => {
    const folder = newFolder()
    const clock = new FakeClock(join(folder, 'clock'))
    await using receiver = await Receiver.start()
    const toml = `${receiver.route}[limits]\ndrain = "2s"\n[[listener]]\naddress = "127.0.0.1:0"\nkind = "relay"\n`
    await using server = await Postrider.start({ toml, folder, env: clock.env })
    await using _fault = await FailingCalls.start(server.processId, {
      calls: 'pwrite64,pwritev,pwritev2',
      error: 'ENOSPC',
    })
    clock.jump(3_600_000)
    await waitForLog(() => server.output, 'clock.jumped')
    // A relay thread looks before each lease, and waits from then on.
    await sleep(2000)
    server.signal('SIGTERM')
    assert.equal(await ended(server), 0)
  },
)

/** Standard output refuses each write, as a log file on a full disk does. */
const fullLog = ['sh', '-c', 'exec "$0" "$@" >/dev/full']
const needsFullLog = needsMachine(existsSync('/dev/full'), 'file that is always full, /dev/full')

test('a log on a full disk holds up no graceful end', needsFullLog, async () => {
  await using server = await Postrider.start({ toml: '', wrapper: fullLog })
  server.signal('SIGTERM')
  assert.equal(await ended(server), 0)
})

test(
  'a start that fails with its log on a full disk says why on standard error and ends with 1',
  needsFullLog,
  async () => {
    const folder = newFolder()
    mkdirSync(join(folder, 'data'))
    const db = new DatabaseSync(join(folder, 'data/postrider.db'))
    db.exec('CREATE TABLE theirs (a)')
    db.close()
    await using server = await Postrider.launch({ toml: '', folder, wrapper: fullLog })
    assert.equal(await ended(server), 1)
    assert.match(server.output, /^postrider: .*postrider\.db/m)
  },
)

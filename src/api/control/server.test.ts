import assert from 'node:assert/strict'
import { once } from 'node:events'
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectControl, findSocket, startControlServer } from './index.ts'
import { ControlTestBed } from './test-kit.ts'
import { LineReader } from './wire.ts'

interface Answer {
  readonly id?: unknown
  readonly result?: unknown
  readonly error?: { readonly code?: unknown }
}

/** Sends raw bytes and gives the first `count` lines of the answer, parsed. */
async function exchange(path: string, bytes: string, count: number): Promise<Answer[]> {
  const socket = connect(path)
  socket.write(bytes)
  const lines: Answer[] = []
  let rest = ''
  for await (const chunk of socket) {
    rest += String(chunk)
    for (let at = rest.indexOf('\n'); at >= 0; at = rest.indexOf('\n')) {
      lines.push(JSON.parse(rest.slice(0, at)) as Answer)
      rest = rest.slice(at + 1)
    }
    if (lines.length >= count) break
  }
  return lines
}

function errorCode(answer: Answer | undefined): unknown {
  return answer?.error?.code
}

/** A listening socket whose process dies keeps its file: made here by closing the handle without unlinking. */
async function leaveSocket(path: string): Promise<void> {
  const dead = createServer()
  dead.listen(`${path}.tmp`)
  await once(dead, 'listening')
  linkSync(`${path}.tmp`, path)
  dead.close()
  await once(dead, 'close')
}

test('the socket is for its owner alone and is gone after the end', async () => {
  await using bed = await ControlTestBed.open()
  assert.equal(statSync(bed.serverPath).mode & 0o777, 0o600)
  assert.equal(bed.serverPath, join(bed.dataDir, 'control.sock'))
  await bed.stopServing()
  assert.equal(statSync(join(bed.dataDir, 'control.sock'), { throwIfNoEntry: false }), undefined)
})

test('a malformed line is answered with an error and the connection goes on', async () => {
  await using bed = await ControlTestBed.open()
  const answers = await exchange(
    bed.serverPath,
    'not json\n{"id":"x","command":"a"}\n{"id":1,"command":"no.such"}\n{"id":2,"command":"server.status","arguments":{"x":1}}\n{"id":3,"command":"toString"}\n{"id":4,"command":"account.list"}\n',
    6,
  )
  const [first, second, ...rest] = answers
  assert.equal(errorCode(first), 'malformed')
  assert.equal(errorCode(second), 'malformed')
  assert.deepEqual(
    rest.map(answer => [answer.id, errorCode(answer)]),
    [
      [1, 'unknown-command'],
      [2, 'invalid'],
      [3, 'unknown-command'],
      [4, undefined],
    ],
  )
  assert.deepEqual(rest[3]?.result, { count: 0 })
})

test('a line without end is cut off at the limit, however it arrives', () => {
  const reader = new LineReader(10)
  assert.deepEqual(reader.take(Buffer.from('abc\nde')), ['abc'])
  assert.deepEqual(reader.take(Buffer.from('f\n')), ['def'])
  assert.deepEqual(reader.take(Buffer.from('12345')), [])
  assert.equal(reader.take(Buffer.from('678901')), null)
})

test('more requests at once than may wait end the connection with a reason', async () => {
  await using bed = await ControlTestBed.open()
  const many = '{"id":1,"command":"event.list","arguments":{"follow":true}}\n'.repeat(40)
  const answers = await exchange(bed.serverPath, many, 1)
  assert.equal(errorCode(answers[0]), 'too-many-requests')
})

test('a client over the number of connections is told so', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  await bed.serve({ connectionsMax: 1 })
  const first = await connectControl(bed.serverPath)
  assert.ok(first.ok)
  using _client = first.client
  const answers = await exchange(bed.serverPath, '', 1)
  assert.equal(errorCode(answers[0]), 'too-many-clients')
})

test('a client over the number of connections that stays does not hold up the end of the server', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  await bed.serve({ connectionsMax: 1 })
  const first = await connectControl(bed.serverPath)
  assert.ok(first.ok)
  // Keeps its own half open whatever it is told.
  const second = connect({ path: bed.serverPath, allowHalfOpen: true })
  second.on('error', () => undefined)
  try {
    await once(second.resume(), 'end')
    first.client[Symbol.dispose]()
    const end = await Promise.race([bed.stopServing(), sleep(20_000, 'it still waits')])
    assert.equal(end, undefined)
  } finally {
    second.destroy()
  }
})

test('a door whose accept fails stays open', async () => {
  await using bed = await ControlTestBed.open()
  const path = bed.serverPath
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): unknown[] }
  const server = handles.call(process).find(one => one instanceof Server && one.address() === path) as Server
  server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))
  assert.equal(server.listening, true)
})

test('a socket that a dead server left behind is replaced, a live one is refused, a file is left alone', async () => {
  await using bed = await ControlTestBed.open()
  const options = { dataDir: bed.dataDir, shortFolders: { runtimeDir: undefined, temporaryDir: tmpdir() } }
  const second = await startControlServer(options, bed.ports())
  assert.equal(second.ok ? '' : second.error.code, 'server-running')
  assert.ok((await connectControl(bed.serverPath)).ok, 'the live server still answers')
  const path = bed.serverPath
  await bed.stopServing()
  await leaveSocket(path)
  assert.ok(statSync(path).isSocket())
  await bed.serve()
  assert.ok((await connectControl(bed.serverPath)).ok)
  await bed.stopServing()
  writeFileSync(path, 'precious')
  const refused = await startControlServer(options, bed.ports())
  assert.equal(refused.ok ? '' : refused.error.code, 'control-socket')
  assert.equal(readFileSync(path, 'utf8'), 'precious')
})

test('a data folder with a long path gets a socket in a short private folder that control.path names', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  const parent = mkdtempSync(join(tmpdir(), 'postrider-long-'))
  try {
    const dataDir = join(parent, 'x'.repeat(120))
    mkdirSync(dataDir)
    assert.equal(findSocket(dataDir), '')
    await bed.serve({ dataDir })
    assert.ok(Buffer.byteLength(bed.serverPath) <= 107)
    assert.equal(findSocket(dataDir), bed.serverPath)
    assert.equal(statSync(join(bed.serverPath, '..')).mode & 0o777, 0o700)
    assert.ok((await connectControl(findSocket(dataDir))).ok)
    const folder = join(bed.serverPath, '..')
    await bed.stopServing()
    assert.equal(statSync(folder, { throwIfNoEntry: false }), undefined)
    assert.equal(findSocket(dataDir), '')
  } finally {
    rmSync(parent, { recursive: true, force: true })
  }
})

test('the short folder of a server that was killed is removed by the next one, that of a live one and of others never', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  const parent = mkdtempSync(join(tmpdir(), 'postrider-long-'))
  const dataDir = join(parent, 'x'.repeat(120))
  const copy = join(parent, 'y'.repeat(120))
  const folders = {
    left: mkdtempSync(join(tmpdir(), 'postrider-')),
    other: mkdtempSync(join(tmpdir(), 'other-')),
  }
  const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined
  try {
    mkdirSync(dataDir)
    mkdirSync(copy)
    // What a kill leaves: a folder with a socket that nobody listens on, and the file that names it.
    const killed = join(folders.left, 'control.sock')
    await leaveSocket(killed)
    writeFileSync(join(dataDir, 'control.path'), `${killed}\n`)
    await bed.serve({ dataDir })
    assert.equal(isThere(folders.left), false)
    const live = bed.serverPath
    // Another server on a copy of the data folder, where the file names the place of the first one.
    const options = {
      dataDir: copy,
      shortFolders: { runtimeDir: undefined, systemDir: '', temporaryDir: tmpdir() },
    }
    writeFileSync(join(copy, 'control.path'), `${live}\n`)
    const second = await startControlServer(options, bed.ports())
    assert.ok(second.ok)
    assert.notEqual(second.server.path, live)
    await second.server.close()
    assert.ok((await connectControl(live)).ok)
    await bed.stopServing()
    // A folder that is none of ours, whatever the file says.
    const foreign = join(folders.other, 'control.sock')
    await leaveSocket(foreign)
    writeFileSync(join(copy, 'control.path'), `${foreign}\n`)
    const third = await startControlServer(options, bed.ports())
    assert.ok(third.ok)
    await third.server.close()
    assert.equal(isThere(foreign), true)
  } finally {
    for (const path of [parent, ...Object.values(folders)]) rmSync(path, { recursive: true, force: true })
  }
})

test('a client that goes away ends the command that it follows', async () => {
  await using bed = await ControlTestBed.open()
  const socket = connect(bed.serverPath)
  socket.write('{"id":1,"command":"event.list","arguments":{"follow":true}}\n')
  await once(socket, 'connect')
  socket.destroy()
  // Closing waits for connections: it would wait for the follower, too.
  await bed.stopServing()
})

test('where no server listens, the client says so', async () => {
  const result = await connectControl(join(tmpdir(), 'postrider-no-such.sock'))
  assert.equal(result.ok ? '' : result.error.code, 'server-not-running')
  const unnamed = await connectControl('')
  assert.equal(unnamed.ok ? '' : unnamed.error.code, 'server-not-running')
})

test('the commands of the lab are served when it is on, with their errors as values', async () => {
  await using bed = await ControlTestBed.open({ isServing: false })
  bed.lab['lab.echo'] = async given => given
  bed.lab['lab.fail'] = async () => {
    throw new Error('the inbox is empty')
  }
  await bed.serve()
  const connected = await connectControl(bed.serverPath)
  assert.ok(connected.ok)
  using client = connected.client
  assert.deepEqual(await client.call('lab.echo', { a: [1] }), { ok: true, value: { a: [1] } })
  const failure = await client.call('lab.fail')
  assert.equal(failure.ok ? '' : failure.error.message, 'the inbox is empty')
  const missing = await client.call('lab.missing')
  assert.equal(missing.ok ? '' : missing.error.code, 'lab-off')
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SMTPServer } from 'smtp-server'
import { loadTlsMaterial } from '../config/index.ts'
import { run } from './test-kit.ts'

interface Received {
  readonly from: string
  readonly to: readonly string[]
  readonly content: string
  readonly isSecure: boolean
  readonly user: string
}

interface Bench {
  readonly cwd: string
  readonly received: Received[]
  /** From now on connections are cut where the reply to the content should come. */
  cutReplies(): void
}

/** A submission server that knows one credential, a configuration and a first-run.json that lead to it. */
async function open(t: TestContext, secret: string = 'pr_right'): Promise<Bench> {
  const cwd = mkdtempSync(join(tmpdir(), 'postrider-send-'))
  const dataDir = join(cwd, 'data')
  mkdirSync(dataDir)
  const made = loadTlsMaterial({
    tls: null,
    dataDir,
    hostname: 'mx.example.test',
    nowMs: Date.now(),
    randomBytes: sizeBytes => Buffer.alloc(sizeBytes, 7),
  })
  assert.ok(made.ok)
  const received: Received[] = []
  const sockets = new Set<Socket>()
  let isCut = false
  const server = new SMTPServer({
    cert: made.material.certificatePem,
    key: made.material.keyPem,
    disableReverseLookup: true,
    onAuth: ({ username = '', password }, _session, done) => {
      if (password === 'pr_right') done(null, { user: username })
      else done(new Error('authentication failed'))
    },
    onRcptTo: ({ address }, _session, done) => {
      if (address.startsWith('refused')) done(Object.assign(new Error('not here'), { responseCode: 550 }))
      else done()
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(one => one.address),
          content: Buffer.concat(chunks).toString('utf8'),
          isSecure: session.secure,
          user: String(session.user),
        })
        if (isCut) for (const socket of sockets) socket.destroy()
        else done(null, 'Queued as msg_test')
      })
    },
  })
  server.on('error', () => undefined)
  const listening: Server = server.listen(0, '127.0.0.1')
  listening.on('connection', socket => sockets.add(socket))
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  writeFileSync(join(cwd, 'postrider.toml'), 'hostname = "mx.example.test"\n')
  writeFileSync(
    join(dataDir, 'first-run.json'),
    JSON.stringify({ username: 'apikey', secret, smtp: { host: '127.0.0.1', port } }),
  )
  t.after(async () => {
    await new Promise<void>(resolve => server.close(() => resolve()))
    rmSync(cwd, { recursive: true, force: true })
  })
  const cutReplies = (): void => {
    isCut = true
  }
  return { cwd, received, cutReplies }
}

test('a message goes to the submission listener with the credential of the first run; its id is printed', async t => {
  const { cwd, received } = await open(t)
  const argv = ['send', '--from', 'Ann <ann@example.test>', '--to', 'bob@x.test', '--to', 'eve@x.test']
  const { code, stdout, stderr } = await run([...argv, '--subject', 'Grüße', '--text', 'Es geht.'], { cwd })
  assert.deepEqual([code, stdout, stderr], [0, 'msg_test\n', ''])
  const [message] = received
  assert.deepEqual([message?.from, message?.to], ['ann@example.test', ['bob@x.test', 'eve@x.test']])
  assert.equal(message?.isSecure, true)
  assert.equal(message?.user, 'apikey')
  assert.match(message?.content ?? '', /^From: Ann <ann@example\.test>\r\n/m)
  assert.match(message?.content ?? '', /^Subject: =\?UTF-8\?/m)
  assert.match(message?.content ?? '', /Es geht\./)
})

test('a finished message is sent as it is, with the line ends of mail', async t => {
  const { cwd, received } = await open(t)
  const raw = 'From: a@example.test\nSubject: x\n\nline one\n.two\n'
  const { code, stdout } = await run(
    ['send', '--from', 'a@example.test', '--to', 'b@x.test', '--raw', '-', '--json'],
    { cwd, input: raw },
  )
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout), { id: 'msg_test', accepted: ['b@x.test'], refused: [] })
  assert.equal(received[0]?.content, raw.replaceAll('\n', '\r\n'))
})

test('a recipient that is refused makes the command fail although the others were taken', async t => {
  const { cwd } = await open(t)
  const argv = ['send', '--from', 'a@example.test', '--to', 'refused@x.test', '--to', 'b@x.test']
  const { code, stdout, stderr } = await run(argv, { cwd })
  assert.equal(code, 1)
  assert.equal(stdout, 'msg_test\n')
  assert.match(stderr, /not to 1 of 2 recipients: refused@x\.test: 550 .*not here/)
  const none = await run(argv.slice(0, 5), { cwd })
  assert.equal(none.code, 1)
  assert.match(none.stderr, /did not take the message: 550 .*not here/)
})

test('where the connection is lost behind the content, it is not said that the server did not take the message', async t => {
  const { cwd, received, cutReplies } = await open(t)
  cutReplies()
  for (const to of [['b@x.test'], ['refused@x.test', 'b@x.test']]) {
    const argv = ['send', '--from', 'a@example.test', ...to.flatMap(path => ['--to', path]), '--json']
    const { code, stdout, stderr } = await run(argv, { cwd })
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /"code":"unknown".*not known.*postrider message list/)
  }
  assert.equal(received.length, 2)
})

test('a wrong credential, a server that is not there and a credential that is missing have their own errors', async t => {
  const { cwd } = await open(t, 'pr_wrong')
  const argv = ['send', '--from', 'a@example.test', '--to', 'b@x.test', '--json']
  assert.match((await run(argv, { cwd })).stderr, /"code":"smtp-auth"/)
  const nobody = await run([...argv, '--smtp', '127.0.0.1:1'], { cwd })
  assert.match(nobody.stderr, /"code":"smtp-connect"/)
  rmSync(join(cwd, 'data', 'first-run.json'))
  assert.match((await run(argv, { cwd })).stderr, /"code":"no-credential"/)
  assert.equal((await run([...argv, '--username', 'x'], { cwd })).code, 2)
})

test('a server with another certificate than ours is not given the secret', async t => {
  const { cwd, received } = await open(t)
  rmSync(join(cwd, 'data', 'tls'), { recursive: true })
  const other = loadTlsMaterial({
    tls: null,
    dataDir: join(cwd, 'data'),
    hostname: 'mx.example.test',
    nowMs: Date.now(),
    randomBytes: sizeBytes => Buffer.alloc(sizeBytes, 9),
  })
  assert.ok(other.ok)
  const { code, stderr } = await run(['send', '--from', 'a@example.test', '--to', 'b@x.test', '--json'], {
    cwd,
  })
  assert.equal(code, 1)
  assert.match(stderr, /"code":"smtp-(starttls|tls)"/)
  assert.deepEqual(received, [])
})

test('addresses and a subject with line ends, NUL or other odd bytes are refused, or stay what they are', async t => {
  const { cwd, received } = await open(t)
  const send = (from: string, to: string, ...more: string[]) =>
    run(['send', '--from', from, '--to', to, ...more], { cwd })
  for (const tail of [
    '\r\nRCPT TO:<v@evil.test>',
    '\n',
    '\r',
    '\0',
    ' ',
    '\t',
    '%0d%0a',
    '> SIZE=1 <v@evil.test',
    ',v@evil.test',
  ])
    for (const odd of [`b${tail}@x.test`, `b@x${tail}.test`, `b@x.te${tail}st`]) {
      const { code, stdout, stderr } = await send('a@example.test', odd)
      if (code === 0) continue
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, /^error: --to: .* is no address: /)
      assert.doesNotMatch(stderr, /[\r\t\0]/)
      assert.match((await send(odd.replace('x', 'example'), 'b@x.test')).stderr, /^error: --from: /)
    }
  // A percent sign is a letter of the local part; nobody reads it as anything else.
  assert.deepEqual(
    received.splice(0).map(one => one.to),
    [['b%0d%0a@x.test']],
  )
  for (const line of [
    '\r\nBcc: v@evil.test',
    '\nX-Evil: y',
    '\rX-Evil: y',
    '\0',
    '\x0bX-Evil: y',
    '\u0085X-Evil: y',
    '\u2028X-Evil: y',
    '=?utf-8?q?=0D=0ABcc:_v=40evil.test?=',
    '%0d%0aBcc:%20v@evil.test',
    '\\u000d\\u000aBcc: v@evil.test',
    '\ud800',
    'x'.repeat(1024 * 1024),
  ])
    for (const [from, to, ...more] of [
      [`Ann${line} <a@example.test>`, 'Bob <b@x.test>'],
      ['Ann <a@example.test>', `Bob${line} <b@x.test>`],
      ['Ann <a@example.test>', 'Bob <b@x.test>', '--subject', `s${line}`],
      ['Ann <a@example.test>', 'Bob <b@x.test>', '--text', `t${line}`],
    ] as const)
      await send(from, to, ...more)
  assert.ok(received.length > 12, `${received.length} were sent`)
  for (const { to, content } of received) {
    assert.deepEqual(to, ['b@x.test'])
    // In the text of a message a line is a line.
    assert.doesNotMatch(content, /\r(?!\n)|(?<!\r)\n|\0/)
    assert.doesNotMatch(content.slice(0, content.indexOf('\r\n\r\n')), /^(?:Bcc|X-Evil)/im)
  }
})

import assert from 'node:assert/strict'
import { execFile, spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadConfig } from '../config/index.ts'
import { configTemplate } from './config-template.ts'
import { commandModules } from './program.ts'
import { cliReference } from './reference.ts'
import { openBed, type Ran, run } from './test-kit.ts'

const main = join(import.meta.dirname, '..', 'main.ts')

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-cli-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs the real program. */
function spawn(cwd: string, ...argv: string[]): Promise<Ran> {
  return new Promise(resolve => {
    execFile(process.execPath, [main, ...argv], { cwd }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr })
    })
  })
}

test('the program exits 0 when done, 1 for an error and 2 for usage, with errors as JSON when asked', async t => {
  const cwd = temporaryFolder(t)
  const version = await spawn(cwd, '--version')
  assert.equal(version.code, 0)
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
  const noServer = await spawn(cwd, '--json', 'account', 'list')
  assert.equal(noServer.code, 1)
  const { error } = JSON.parse(noServer.stderr) as { error: Record<'code' | 'message' | 'hint', string> }
  assert.equal(error.code, 'server-not-running')
  assert.match(error.hint, /postrider serve/)
  assert.equal(noServer.stdout, '')
  const usage = await spawn(cwd, 'account', 'list', '--nonsense', '--json')
  assert.equal(usage.code, 2)
  assert.equal((JSON.parse(usage.stderr) as { error: { code: string } }).error.code, 'usage')
})

test('usage errors name what is wrong and exit 2, wherever they are', async t => {
  const cwd = temporaryFolder(t)
  for (const [line, what] of [
    ['acount', /unknown command 'acount'/],
    ['account', /subcommand is missing/],
    ['account create', /missing required argument 'name'/],
    ['domain add example.test', /--account/],
    ['credential create --account a --kind telnet', /telnet/],
    ['queue list --limit 0', /from 1 to 1000/],
    ['queue hold', /which recipients/],
    ['queue reroute --all', /--smarthost/],
    ['stream update default --account a', /nothing to change/],
    ['events --after x', /whole number/],
    ['send --from a@example.test', /--to/],
    ['--config', /argument missing/],
  ] as const) {
    const { code, stderr, stdout } = await run(line.split(' '), { cwd })
    assert.equal(code, 2, line)
    assert.match(stderr, what, line)
    assert.equal(stderr.trimEnd().split('\n').length, 2, `${line}: what, and what next`)
    assert.equal(stdout, '')
  }
})

test('help exits 0 for the program and for each command; no arguments exit 2', async t => {
  const cwd = temporaryFolder(t)
  const all = await run(['--help'], { cwd })
  assert.equal(all.code, 0)
  for (const name of Object.keys(commandModules)) {
    assert.match(all.stdout, new RegExp(`^ {2}${name} `, 'm'))
    const help = await run([name, '--help'], { cwd })
    assert.equal(help.code, 0, name)
    assert.match(help.stdout, /--json/, `${name} shows the global options`)
  }
  assert.equal((await run([], { cwd })).code, 2)
})

test('commands that need a server say how to start it, with the configuration that was given', async t => {
  const cwd = temporaryFolder(t)
  await run(['init'], { cwd })
  for (const line of ['account list', 'message list', 'queue list', 'events', 'domain list']) {
    const { code, stderr } = await run([...line.split(' '), '--config', 'postrider.toml'], { cwd })
    assert.equal(code, 1, line)
    assert.match(stderr, /no server is running/)
    assert.match(stderr, /postrider serve --config postrider.toml/)
  }
})

test('a configuration with problems is an error that names them', async t => {
  const cwd = temporaryFolder(t)
  const { code, stderr } = await run(['account', 'list', '--config', 'missing.toml'], { cwd })
  assert.equal(code, 1)
  assert.match(stderr, /missing\.toml: this configuration file does not exist/)
})

test('init writes a configuration that loads, and never overwrites one', async t => {
  const cwd = temporaryFolder(t)
  assert.equal((await run(['init', '--hostname', 'mx.example.test'], { cwd })).code, 0)
  const path = join(cwd, 'postrider.toml')
  const text = readFileSync(path, 'utf8')
  const loaded = loadConfig({ cwd, env: {}, machineName: 'box' })
  assert.ok(loaded.ok)
  assert.equal(loaded.config.hostname, 'mx.example.test')
  assert.deepEqual(
    loaded.config.listeners.map(one => [one.kind, one.address.port]),
    [
      ['relay', 2525],
      ['submission', 2587],
      ['submissions', 2465],
    ],
  )
  const again = await run(['init', '--json'], { cwd })
  assert.equal(again.code, 1)
  assert.match(again.stderr, /"code":"exists"/)
  assert.equal(readFileSync(path, 'utf8'), text)
})

test('init on a machine without a full name says that hostname must be set', async t => {
  const { stdout } = await run(['init', '--hostname', 'box'], { cwd: temporaryFolder(t) })
  assert.match(stdout, /next: set hostname in it/)
  const named = await run(['init', '--hostname', 'mx.example.test'], { cwd: temporaryFolder(t) })
  assert.match(named.stdout, /next: read it/)
})

test('what init writes for a service in /etc names the folder of its data, so that server and commands agree', t => {
  const path = join(temporaryFolder(t), 'postrider.toml')
  writeFileSync(path, configTemplate('mx.example.test', '/var/lib/postrider'))
  const loaded = loadConfig({ path, cwd: '/', env: {}, machineName: 'box' })
  assert.ok(loaded.ok)
  assert.equal(loaded.config.dataDir, '/var/lib/postrider')
})

test('bounce classify works without a server', async t => {
  const cwd = temporaryFolder(t)
  const { code, stdout } = await run(['bounce', 'classify', '550', '5.1.1', 'no such user', '--json'], {
    cwd,
  })
  assert.equal(code, 0)
  const means = JSON.parse(stdout) as Record<'category' | 'scope' | 'kind', string>
  assert.deepEqual([means.kind, means.category, means.scope], ['bounced', 'unknown-recipient', 'recipient'])
  const anybody = await run(['bounce', 'classify', '550 5.1.1 mailbox not found', '--json'], { cwd })
  const yahoo = await run(
    ['bounce', 'classify', '550 5.1.1 mailbox not found', '--site', 'yahoo', '--json'],
    {
      cwd,
    },
  )
  const rules = [anybody, yahoo].map(one => (JSON.parse(one.stdout) as { ruleId: string }).ruleId)
  assert.doesNotMatch(rules[0]!, /yahoo/)
  assert.equal(rules[1], 'yahoo-unknown-user')
  assert.equal((await run(['bounce', 'classify', 'hello'], { cwd })).code, 1)
})

test('serve hands the configuration on and exits as the server did', async t => {
  const cwd = temporaryFolder(t)
  const asked: unknown[] = []
  const { code } = await run(['serve', '--config', 'x.toml'], {
    cwd,
    application: {
      serve: async options => {
        asked.push(options)
        return 1
      },
    },
  })
  assert.equal(code, 1)
  assert.deepEqual(asked, [{ configPath: 'x.toml' }])
})

test('the reference page has every command', () => {
  const page = cliReference()
  for (const name of Object.keys(commandModules))
    assert.match(page, new RegExp(`^## postrider ${name}$`, 'm'))
})

test('a backup of a running server is previewed and restored, with everything in it held', async t => {
  const cwd = temporaryFolder(t)
  await using bed = await openBed()
  await bed.accept({ to: ['a@one.test', 'b@two.test'] })
  const config = join(bed.dataDir, 'postrider.toml')
  const made = await spawn(cwd, 'backup', 'copy', '--config', config, '--json')
  assert.deepEqual([made.code, made.stderr], [0, ''])
  assert.equal((JSON.parse(made.stdout) as { recipients: number }).recipients, 2)
  const again = await spawn(cwd, 'backup', 'copy', '--config', config)
  assert.equal(again.code, 1)
  assert.match(again.stderr, /^error: .*copy.*\n.*empty or does not exist\n$/)
  const preview = await spawn(cwd, 'restore', 'copy', '--preview', '--json')
  assert.equal(preview.code, 0)
  assert.deepEqual((JSON.parse(preview.stdout) as { domains: unknown }).domains, [
    { domain: 'one.test', recipients: 1 },
    { domain: 'two.test', recipients: 1 },
  ])
  const restored = await spawn(cwd, 'restore', 'copy', '--json')
  assert.deepEqual(JSON.parse(restored.stdout), { dataDir: join(cwd, 'data'), held: 2 })
  const occupied = await spawn(cwd, 'restore', 'copy', '--json')
  assert.equal(occupied.code, 1)
})

test('a reader that has seen enough ends the command quietly', async () => {
  await using bed = await openBed()
  for (let i = 0; i < 600; i++) await bed.accept({ to: ['a@one.test'] })
  const child = spawnProcess(process.execPath, [main, 'events', '--follow'], { cwd: bed.dataDir })
  await once(child.stdout, 'data')
  child.stdout.destroy()
  let complaints = ''
  child.stderr.on('data', chunk => {
    complaints += String(chunk)
  })
  // Its next write finds nobody.
  await bed.accept({ to: ['b@one.test'] })
  const [code] = (await once(child, 'exit')) as [number]
  assert.deepEqual([code, complaints], [0, ''])
})

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { needsMachine } from '../../test/support/needs-machine.ts'
import { loadTlsMaterial } from '../config/index.ts'
import { type LabDnsFaultAt, startLabDns } from '../lab/index.ts'
import type { Check } from './doctor/check.ts'
import { checkNode } from './doctor/examine.ts'
import { openBed, run } from './test-kit.ts'

const isRoot = process.getuid?.() === 0

interface Report {
  readonly isHealthy: boolean
  readonly checks: readonly Check[]
}

/** A folder with a configuration whose ports are free and whose DNS server is on loopback. */
async function folder(
  t: TestContext,
  more: string = '',
  faults: readonly LabDnsFaultAt[] = [],
): Promise<string> {
  const path = mkdtempSync(join(tmpdir(), 'postrider-doctor-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  writeFileSync(
    join(path, 'postrider.toml'),
    `hostname = "mx.example.test"
${more}
[[listener]]
address = "127.0.0.1:0"
kind = "submission"
[http]
address = "off"
[dns]
servers = ["127.0.0.1:${await dnsPort(t, faults)}"]
`,
  )
  return path
}

async function dnsPort(t: TestContext, faults: readonly LabDnsFaultAt[] = []): Promise<number> {
  const records = [{ name: 'mx.example.test', type: 'A', data: '192.0.2.1' }] as const
  const dns = await startLabDns({ zones: [{ name: 'test', records }], faults })
  t.after(() => dns[Symbol.asyncDispose]())
  return dns.port
}

async function examine(cwd: string): Promise<Report & { readonly code: number }> {
  const { code, stdout } = await run(['doctor', '--json'], { cwd })
  return { code, ...(JSON.parse(stdout) as Report) }
}

function stateOf({ checks }: Report, name: string): string | undefined {
  return checks.find(check => check.name === name)?.state
}

test('a machine where all is well exits 0, and nothing has been made', async t => {
  const cwd = await folder(t)
  const report = await examine(cwd)
  assert.deepEqual(
    report.checks.filter(check => check.state === 'fail'),
    [],
  )
  assert.equal(report.code, 0)
  assert.equal(stateOf(report, 'certificate'), 'warn')
  assert.match(report.checks.find(check => check.name === 'data folder')?.text ?? '', /does not exist yet/)
  const human = await run(['doctor'], { cwd })
  assert.match(human.stdout, /^ok {4}node: Node 26/m)
})

test('a self-signed certificate that the next start would replace is told, and left as it is', async t => {
  const cwd = await folder(t)
  const dataDir = join(cwd, 'data')
  mkdirSync(dataDir, { mode: 0o700 })
  const made = loadTlsMaterial({
    tls: null,
    dataDir,
    hostname: 'another.example.test',
    nowMs: Date.now(),
    randomBytes,
  })
  assert.ok(made.ok)
  const path = join(dataDir, 'tls', 'certificate.pem')
  const report = await examine(cwd)
  const found = report.checks.filter(check => check.name === 'certificate')
  assert.deepEqual(
    found.map(check => check.state),
    ['warn'],
  )
  assert.match(found[0]!.text, /not for mx\.example\.test.*the next start makes another/)
  assert.equal(readFileSync(path, 'utf8'), made.material.certificatePem)
})

test('a hostname that is no full name is a warning with what to do', async t => {
  const cwd = await folder(t)
  assert.equal(stateOf(await examine(cwd), 'hostname'), 'ok')
  const path = join(cwd, 'postrider.toml')
  writeFileSync(path, readFileSync(path, 'utf8').replace('mx.example.test', 'vm'))
  const report = await examine(cwd)
  const { state, text, hint } = report.checks.find(check => check.name === 'hostname')!
  assert.equal(state, 'warn')
  assert.match(`${text} ${hint}`, /vm is no full name.*set hostname/)
})

test('a configuration with an unknown key fails and names the nearest one', async t => {
  const cwd = await folder(t, 'hostnme = "x"')
  const report = await examine(cwd)
  assert.equal(report.code, 1)
  assert.equal(stateOf(report, 'configuration'), 'fail')
  assert.match(report.checks.at(-1)?.text ?? '', /did you mean "hostname"/)
})

test('a data folder that is a file, or open to others, is told with what to do', async t => {
  const cwd = await folder(t)
  const dataDir = join(cwd, 'data')
  writeFileSync(dataDir, '')
  assert.equal(stateOf(await examine(cwd), 'data folder'), 'fail')
  rmSync(dataDir)
  mkdirSync(dataDir)
  chmodSync(dataDir, 0o755)
  const open = await examine(cwd)
  const found = open.checks.find(check => check.name === 'data folder')
  assert.deepEqual([found?.state, found?.hint], ['warn', `chmod 700 ${dataDir}`])
  assert.equal(stateOf(open, 'fsync') === 'fail', false)
  chmodSync(dataDir, 0o700)
  writeFileSync(join(dataDir, 'secret.key'), Buffer.alloc(32), { mode: 0o644 })
  assert.equal(stateOf(await examine(cwd), 'secret key'), 'fail')
})

test(
  'a lock of backups that the server cannot take is a warning with what to do',
  needsMachine(isRoot, 'root'),
  async t => {
    const cwd = await folder(t)
    const segments = join(cwd, 'data', 'segments')
    const path = join(segments, 'hold')
    mkdirSync(segments, { recursive: true, mode: 0o700 })
    writeFileSync(path, '', { mode: 0o600 })
    const found = async (): Promise<(readonly [string, string])[]> =>
      (await examine(cwd)).checks
        .filter(({ name }) => name === 'segments/hold')
        .map(({ state, hint }) => [state, hint] as const)
    assert.deepEqual(await found(), [], 'root may lock anything')
    chownSync(segments, 4711, 4712)
    assert.deepEqual(await found(), [['warn', `as root: chown 4711:4712 ${path}`]])
    chownSync(path, 4711, 4712)
    assert.deepEqual(await found(), [])
    chmodSync(path, 0o400)
    assert.deepEqual(await found(), [['warn', `chmod 600 ${path}`]])
  },
)

test('a port of another program fails; the ports of our own server are in order', async t => {
  const other = createServer()
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
  t.after(() => other.close())
  const address = other.address()
  assert.ok(typeof address === 'object' && address !== null)
  const cwd = await folder(t, `[[listener]]\naddress = "127.0.0.1:${address.port}"\nkind = "relay"`)
  const report = await examine(cwd)
  assert.equal(stateOf(report, 'port relay'), 'fail')
  assert.equal(stateOf(report, 'port submission'), 'ok')
  assert.equal(report.code, 1)
})

test('a running server is found through its control socket', async t => {
  await using bed = await openBed()
  writeFileSync(
    join(bed.dataDir, 'postrider.toml'),
    `hostname = "mx.example.test"\ndata_dir = "."\n[dns]\nservers = ["127.0.0.1:${await dnsPort(t)}"]\n`,
  )
  const { stdout } = await bed.run('doctor --json')
  const report = JSON.parse(stdout) as Report
  assert.match(
    report.checks.find(check => check.name === 'server')?.text ?? '',
    /version 0\.0\.1, process 4711/,
  )
})

test('a server that takes connections and stands still is told, and the rest of the report comes', async t => {
  const cwd = await folder(t)
  const dataDir = join(cwd, 'data')
  mkdirSync(dataDir, { mode: 0o700 })
  // As the kernel does for a process that is stopped: it takes the connection and the request.
  const still = createServer()
  await new Promise<void>(resolve => still.listen(join(dataDir, 'control.sock'), resolve))
  t.after(() => still.close())
  const report = await examine(cwd)
  const { state, text, hint } = report.checks.find(check => check.name === 'server')!
  assert.equal(state, 'fail')
  assert.match(text, /takes connections and has not answered for 5 seconds/)
  assert.notEqual(hint, '')
  assert.equal(stateOf(report, 'dns 127.0.0.1'), 'ok')
})

test('an account that a listener names and nobody has made is a warning with the command; one without networks needs none', async t => {
  await using bed = await openBed()
  const listener = (account: string, networks: string) =>
    `[[listener]]\naddress = "127.0.0.1:0"\nkind = "relay"\nnetworks = [${networks}]\naccount = "${account}"\n`
  writeFileSync(
    join(bed.dataDir, 'postrider.toml'),
    `hostname = "mx.example.test"\ndata_dir = "."\n[dns]\nservers = ["127.0.0.1:${await dnsPort(t)}"]\n${listener('late', '"10.0.0.0/8"')}${listener('idle', '')}`,
  )
  const accounts = async (): Promise<(readonly [string, string, string])[]> => {
    const { checks } = JSON.parse((await bed.run('doctor --json')).stdout) as Report
    return checks
      .filter(check => check.name.startsWith('account'))
      .map(({ name, state, hint }) => [name, state, hint] as const)
  }
  assert.deepEqual(await accounts(), [['account late', 'warn', 'postrider account create late']])
  await bed.run('account create late')
  assert.deepEqual(await accounts(), [['account late', 'ok', '']])
})

test('a DNS server that does not answer fails', async t => {
  const cwd = await folder(t)
  const silent = createServer()
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  t.after(() => silent.close())
  const address = silent.address()
  assert.ok(typeof address === 'object' && address !== null)
  writeFileSync(
    join(cwd, 'postrider.toml'),
    `hostname = "mx.example.test"\n[[listener]]\naddress = "127.0.0.1:0"\nkind = "submission"\n[http]\naddress = "off"\n[dns]\nservers = ["127.0.0.1:${address.port}"]\n`,
  )
  const report = await examine(cwd)
  assert.equal(stateOf(report, 'dns 127.0.0.1'), 'fail')
})

for (const [how, faults] of [
  ['that nothing exists', [{ name: '*', fault: { kind: 'nxdomain' } }]],
  ['nothing at all', [{ name: '*', fault: { kind: 'empty' } }]],
  [
    'an address of its own for every name, as a captive portal does,',
    [
      { name: '*', fault: { kind: 'empty' } },
      { name: 'mx.example.test', type: 'A', fault: { kind: 'reply', make: (_query, right) => [right] } },
    ],
  ],
] as const satisfies readonly (readonly [string, readonly LabDnsFaultAt[]])[])
  test(`a DNS server that says ${how} and knows nothing above fails, since delivery does not believe it`, async t => {
    const cwd = await folder(t, '', faults)
    const report = await examine(cwd)
    const { state, text, hint } = report.checks.find(({ name }) => name === 'dns 127.0.0.1')!
    assert.equal(state, 'fail')
    assert.match(`${text} ${hint}`, /above mx\.example\.test: it is not believed .*\[dns\] servers/)
    assert.equal(report.code, 1)
  })

test('with the lab on and no [dns] servers nobody else is asked, and doctor says so', async t => {
  const path = mkdtempSync(join(tmpdir(), 'postrider-doctor-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  const listeners = '[[listener]]\naddress = "127.0.0.1:0"\nkind = "submission"\n[http]\naddress = "off"\n'
  writeFileSync(join(path, 'postrider.toml'), `${listeners}[lab]\nenabled = true\n`)
  const { checks } = await examine(path)
  const dns = checks.filter(({ name }) => name.startsWith('dns'))
  assert.deepEqual(
    dns.map(({ state, text }) => [state, text.slice(0, 15)]),
    [['ok', 'the lab answers']],
  )
})

test('the version of Node is compared by its numbers', () => {
  assert.deepEqual(
    ['20.20.2', '26.0.9', '26.1.0', '26.10.0', '27.0.0'].map(version => checkNode(version).state),
    ['fail', 'fail', 'ok', 'ok', 'ok'],
  )
})

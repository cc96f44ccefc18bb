import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { ControlTestBed } from '../api/control/test-kit.ts'
import { labCommands, startLab } from '../lab/index.ts'
import type { Application } from './application.ts'
import { Cli } from './cli.ts'
import type { Io } from './io.ts'
import { labCommand } from './lab.ts'
import { globalOptions, makeProgram } from './program.ts'
import { type Ran, run as runCommand } from './test-kit.ts'

interface Run {
  readonly output: () => string
  readonly end: () => void
  readonly done: Promise<unknown>
  readonly stdout: PassThrough
}

const unused = (): Promise<never> => Promise.reject(new Error('the lab needs nothing of the program'))
const noApplication: Application = { serve: unused, backup: unused, restore: unused, openBackup: unused }

function run(...argv: string[]): Run {
  const stdout = new PassThrough()
  const closed = new AbortController()
  let text = ''
  stdout.on('data', chunk => {
    text += String(chunk)
  })
  const io: Io = {
    stdin: new PassThrough(),
    isStdinTerminal: false,
    stdout: { stream: stdout, isTerminal: false },
    stderr: { stream: new PassThrough(), isTerminal: false },
    env: {},
    cwd: '/',
    machineName: 'machine.test',
    closed: closed.signal,
  }
  const program = makeProgram('0')
  labCommand(program, new Cli(io, noApplication, () => globalOptions(program)))
  const done = program.parseAsync(argv, { from: 'user' })
  return { output: () => text, end: () => closed.abort(), done, stdout }
}

test('lab addresses prints the tables without a server', async () => {
  const shown = run('lab', 'addresses')
  await shown.done
  assert.match(shown.output(), /^LOCAL PART +WHAT HAPPENS\n/)
  assert.match(shown.output(), /^null-mx\.test +says that it takes no mail/m)
  const json = run('lab', 'addresses', '--json')
  await json.done
  const value = JSON.parse(json.output()) as Record<string, { name: string }[]>
  assert.ok(value['addresses']?.some(one => one.name === 'bounce'))
  assert.ok(value['behaviours']?.some(one => one.name === 'dead'))
})

test('lab run says how to reach it and ends when nobody reads it any more', async () => {
  const lab = run('--json', 'lab', 'run', '--dns-port', '0', '--mx-port', '0')
  while (!lab.output().includes('\n')) await new Promise(resolve => lab.stdout.once('data', resolve))
  const { dnsPort, mxPort } = JSON.parse(lab.output()) as { dnsPort: number; mxPort: number }
  const second = run('lab', 'run', '--dns-port', '0', '--mx-port', String(mxPort))
  await assert.rejects(second.done, { code: 'lab-failed', message: /EADDRINUSE/ })
  const third = run('lab', 'run', '--dns-port', String(dnsPort), '--mx-port', '0')
  await assert.rejects(third.done, { code: 'lab-failed' })
  lab.end()
  await lab.done
})

test('the inbox of a running server is listed, shown byte for byte, and cleared; its hosts are steered', async () => {
  await using lab = await startLab()
  await using bed = await ControlTestBed.open({ isServing: false })
  Object.assign(bed.lab, labCommands(lab))
  await bed.serve()
  writeFileSync(join(bed.dataDir, 'postrider.toml'), 'hostname = "mx.example.test"\ndata_dir = "."\n')
  const cli = (line: string): Promise<Ran> => runCommand(line.split(' '), { cwd: bed.dataDir })
  assert.match((await cli('lab inbox list')).stdout, /nothing has arrived yet/)
  const content = 'Subject: \x1b[31mred\r\nTo: a,\r\n\tb\r\n\r\nbody\r\n'
  lab.inbox.add({
    receivedAtMs: 0,
    host: 'mx1.lab.test',
    reversePath: '',
    mailParameters: { body: '7bit', isSmtpUtf8: false },
    recipients: [{ forwardPath: 'you@inbox.test', parameters: {} }],
    tls: null,
    client: { address: '127.0.0.1', port: 9, helloName: 'client.test' },
    content: Buffer.from(content),
  })
  assert.match((await cli('lab inbox list')).stdout, /^lab_1 .* <> +you@inbox\.test .*\\x1b\[31mred$/m)
  const shown = await cli('lab inbox show 1')
  assert.match(shown.stdout, /^by {4}client\.test \[127\.0\.0\.1\]:9, in the clear$/m)
  assert.ok(shown.stdout.endsWith('Subject: \\x1b[31mred\nTo: a,\n\tb\n\nbody\n\n'), shown.stdout)
  assert.equal((await cli('lab inbox show lab_1 --raw')).stdout, content)
  const missing = await cli('lab inbox show lab_2')
  assert.deepEqual([missing.code, /no message lab_2/.test(missing.stderr)], [1, true])
  assert.match((await cli('lab behave mx2.lab.test dead')).stdout, /mx2\.lab\.test is dead now/)
  assert.match((await cli('lab hosts')).stdout, /^mx1\.lab\.test +0 +0 +0 /m)
  assert.equal((await cli('lab inbox clear')).stdout, '1 message forgotten\n')
})

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import type { Application } from './application.ts'
import { Cli } from './cli.ts'
import type { Io } from './io.ts'
import { labCommand } from './lab.ts'
import { globalOptions, makeProgram } from './program.ts'

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

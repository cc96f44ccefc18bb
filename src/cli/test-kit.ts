// For tests: runs command lines in this process against a control server, and keeps what they print.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { ControlTestBed } from '../api/control/test-kit.ts'
import type { Application } from './application.ts'
import type { Io } from './io.ts'
import { runCli } from './run.ts'

/** What a command line did. */
export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly isTerminal?: boolean
  /** What the person types. */
  readonly input?: string
  readonly cwd: string
  readonly application?: Partial<Application>
  readonly env?: Io['env']
}

/** Runs one command line. */
export async function run(argv: readonly string[], options: RunOptions): Promise<Ran> {
  const { isTerminal = false, input = '', cwd, application = {}, env = {} } = options
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    streams[name].on('data', chunk => {
      printed[name] += String(chunk)
    })
  streams.stdin.end(input)
  const io: Io = {
    stdin: streams.stdin,
    isStdinTerminal: isTerminal,
    stdout: { stream: streams.stdout, isTerminal },
    stderr: { stream: streams.stderr, isTerminal },
    env,
    cwd,
    machineName: 'mail.example.test',
    closed: new AbortController().signal,
  }
  const code = await runCli(argv, io, { ...noApplication, ...application })
  await new Promise(setImmediate)
  return { code, ...printed }
}

/** A control server with a configuration file beside it, and a way to run command lines against it. */
export async function openBed(): Promise<
  ControlTestBed & { run: (line: string, change?: Partial<RunOptions>) => Promise<Ran> }
> {
  const bed = await ControlTestBed.open()
  writeFileSync(join(bed.dataDir, 'postrider.toml'), 'hostname = "mx.example.test"\ndata_dir = "."\n')
  return Object.assign(bed, {
    run: (line: string, change: Partial<RunOptions> = {}) =>
      run(line.split(' '), { cwd: bed.dataDir, ...change }),
  })
}

const noApplication: Application = {
  serve: () => Promise.reject(new Error('this test starts no server')),
  backup: () => Promise.reject(new Error('this test makes no backup')),
  restore: () => Promise.reject(new Error('this test restores nothing')),
  openBackup: () => Promise.reject(new Error('this test opens no backup')),
}

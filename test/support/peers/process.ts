/**
 * Running real programs for tests and benches: one-shot commands with captured output, and long-lived
 * programs with a log tail, readiness by TCP connect, and disposal.
 *
 * Invariants: nothing started here outlives its `await using` scope; a program that dies early is reported
 * with the last lines it wrote, never as a bare timeout; only processes we started are signalled, by pid.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Result of a finished command. `code` is null when a signal ended it. */
export interface RunResult {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: Buffer | string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Ends the command with SIGKILL. Default 60 s. */
  readonly timeoutMs?: number
}

const outputTailChars = 64 * 1024

/** Run a command to its end. A non-zero exit is a value, a missing program rejects with its name. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    const stdout: Buffer[] = []
    let stderr = ''
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 180_000)
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString('latin1')).slice(-outputTailChars)
    })
    child.stdin.on('error', () => {}) // the program may exit without reading its input
    child.stdin.end(options.input ?? '')
    child.on('error', cause => {
      clearTimeout(timer)
      reject(new Error(`cannot run ${command}: ${cause.message}`, { cause }))
    })
    child.on('close', code => {
      clearTimeout(timer)
      resolve({ code, stdout: Buffer.concat(stdout), stderr })
    })
  })
}

/** Like `run`, but a non-zero exit rejects with the command line and what it wrote. Returns stdout as text. */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const result = await run(command, args, options)
  if (result.code === 0) return result.stdout.toString('utf8')
  const said = (result.stderr + result.stdout.toString('latin1')).trim().slice(-2000)
  throw new Error(`${command} ${args.join(' ')} ended with ${result.code}: ${said}`)
}

export interface ProgramOptions {
  /** Shown in errors. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** What ends it politely. Default SIGTERM; SIGKILL follows after 10 s. */
  readonly stopSignal?: NodeJS.Signals
  /** Called with each chunk of stdout, in addition to the kept tail. */
  readonly onStdout?: (chunk: Buffer) => void
}

/** A long-lived program. Dispose it (`await using`) to end it. */
export class Program implements AsyncDisposable {
  readonly name: string
  /** Resolves with the exit code, or the signal's name, when the program has ended. */
  readonly ended: Promise<number | string>
  readonly #child: ChildProcess
  readonly #stopSignal: NodeJS.Signals
  #output = ''
  #isEnded = false

  constructor(options: ProgramOptions) {
    this.name = options.name
    this.#stopSignal = options.stopSignal ?? 'SIGTERM'
    this.#child = spawn(options.command, options.args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString('latin1')).slice(-outputTailChars)
    }
    this.#child.stdout?.on('data', options.onStdout ?? keep)
    this.#child.stderr?.on('data', keep)
    this.ended = new Promise(resolve => {
      this.#child.once('error', error => {
        this.#output += `\n${error.message}`
        this.#isEnded = true
        resolve(-1)
      })
      this.#child.once('exit', (code, signal) => {
        this.#isEnded = true
        resolve(code ?? signal ?? 0)
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** The last 64 KiB of what it wrote to stderr (and stdout, unless `onStdout` takes that). */
  get output(): string {
    return this.#output
  }

  signal(name: NodeJS.Signals): void {
    if (!this.#isEnded) this.#child.kill(name)
  }

  /** Wait until `isReady` is true; a program that ends meanwhile, or 30 s, rejects with its output. */
  async until(what: string, isReady: () => boolean | Promise<boolean>, timeoutMs = 60_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    while (!(await isReady())) {
      if (this.#isEnded) throw new Error(`${this.name} ended before ${what}:\n${this.#output.slice(-4000)}`)
      if (performance.now() > deadlineMs)
        throw new Error(
          `${this.name}: ${what} not seen within ${timeoutMs} ms:\n${this.#output.slice(-4000)}`,
        )
      await delay(15)
    }
  }

  async stop(): Promise<void> {
    if (this.#isEnded) return
    this.#child.kill(this.#stopSignal)
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await this.ended
    clearTimeout(killer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Whether somebody accepts TCP connections there right now. */
export function isListening(address: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: address, port })
    const done = (isOpen: boolean) => () => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', done(true)).once('error', done(false))
  })
}

// A whole Postrider as its users run it: a process with a configuration of its own, its CLI, its data folder.
//
// Used by scenario and interop tests. Everything is on loopback with ports of its own; disposing ends the process and
// removes the folder.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'

export { freePort }

const root = new URL('../../', import.meta.url).pathname
const run = promisify(execFile)

/** How a command of the CLI ended. */
export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** How to start. */
export interface PostriderOptions {
  /**
   * TOML after `hostname`, `data_dir` and `[http]`, which are written by us. null: no file at all, as at a first run; what
   * must be set comes by `env`.
   */
  readonly toml: string | null
  /** Keep using this folder (a restart); else a new one is made. */
  readonly folder?: string
  readonly hostname?: string
  readonly env?: Readonly<Record<string, string>>
  /** Put before the command, for instance `['strace', '-f', …]`. */
  readonly wrapper?: readonly string[]
  /** Server and commands run in there. */
  readonly namespace?: MountNamespace
}

/** A mount namespace of the test's own. */
export interface MountNamespace {
  /** Put before every command. */
  readonly wrapper: readonly string[]
  /** Where its root folder is seen from outside. */
  readonly root: string
}

/** A running Postrider. */
export class Postrider implements AsyncDisposable {
  readonly folder: string
  /** '' when it runs without a file. */
  readonly configPath: string
  readonly httpPort: number
  readonly #process: ChildProcess
  readonly #namespace: MountNamespace | undefined
  #output = ''

  private constructor(
    folder: string,
    configPath: string,
    httpPort: number,
    child: ChildProcess,
    namespace: MountNamespace | undefined,
  ) {
    this.#namespace = namespace
    this.folder = folder
    this.configPath = configPath
    this.httpPort = httpPort
    this.#process = child
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString('utf8')
      })
  }

  /** Starts and waits until /readyz says ready; rejects with the output when the process ends before. */
  static async start(options: PostriderOptions): Promise<Postrider> {
    const server = await Postrider.launch(options)
    await server.ready()
    return server
  }

  /** Starts without waiting. */
  static async launch(options: PostriderOptions): Promise<Postrider> {
    const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'postrider-'))
    const httpPort = await freePort()
    const httpAddress = `127.0.0.1:${httpPort}`
    const configPath = options.toml === null ? '' : join(folder, 'postrider.toml')
    if (configPath !== '') {
      const head = [`hostname = "${options.hostname ?? 'relay.example'}"`, 'data_dir = "data"', ''].join('\n')
      // Never the ports of a server without a configuration: another test, or a real one, may hold them.
      const door = /\[\[listener\]\]/.test(options.toml ?? '')
        ? ''
        : `[[listener]]\naddress = "127.0.0.1:${await freePort()}"\nkind = "relay"\n`
      writeFileSync(configPath, `${head}${options.toml}\n[http]\naddress = "${httpAddress}"\n${door}`)
    }
    const command = [
      ...(options.namespace?.wrapper ?? []),
      ...(options.wrapper ?? []),
      nodePath,
      join(root, 'src/main.ts'),
      'serve',
      ...configArguments(configPath),
    ]
    const child = spawn(command[0]!, command.slice(1), {
      cwd: folder,
      env: {
        // As `npm start` and the launcher set it.
        NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/postrider'),
        ...process.env,
        ...(configPath === '' ? { POSTRIDER_HTTP__ADDRESS: httpAddress } : {}),
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return new Postrider(folder, configPath, httpPort, child, options.namespace)
  }

  /** Everything that it wrote so far. */
  get output(): string {
    return this.#output
  }

  get processId(): number {
    return this.#process.pid!
  }

  get dataDir(): string {
    return join(this.#namespace?.root ?? '', this.folder, 'data')
  }

  async ready(timeoutMs: number = 60_000): Promise<void> {
    const endMs = Date.now() + timeoutMs
    while (Date.now() < endMs) {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null)
        throw new Error(`postrider ended with ${this.#process.exitCode}: ${this.#output}`)
      const answer = await fetch(`http://127.0.0.1:${this.httpPort}/readyz`).catch(() => null)
      await answer?.text()
      if (answer?.status === 200) return
      await sleep(50)
    }
    throw new Error(`postrider was not ready in ${timeoutMs} ms: ${this.#output}`)
  }

  /** Runs a command of the CLI against this server. */
  command(...args: readonly string[]): Promise<CommandResult> {
    return postriderCommand(
      [...args, ...configArguments(this.configPath)],
      this.folder,
      this.#namespace?.wrapper ?? [],
    )
  }

  /** Runs a command with --json and gives its parsed answer; rejects when it fails. */
  async json<T = Record<string, never>>(...args: readonly string[]): Promise<T> {
    const result = await this.command(...args, '--json')
    if (result.code !== 0) throw new Error(`postrider ${args.join(' ')} failed: ${result.stderr}`)
    return JSON.parse(result.stdout) as T
  }

  /** All events so far. */
  async events(): Promise<Record<string, unknown>[]> {
    const result = await this.command('events')
    if (result.code !== 0) throw new Error(`postrider events failed: ${result.stderr}`)
    return result.stdout
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Record<string, unknown>)
  }

  /** Waits until the events satisfy a condition. */
  async waitForEvents(
    isEnough: (events: Record<string, unknown>[]) => boolean,
    timeoutMs: number = 60_000,
  ): Promise<Record<string, unknown>[]> {
    const endMs = Date.now() + timeoutMs
    for (;;) {
      const events = await this.events()
      if (isEnough(events)) return events
      if (Date.now() > endMs)
        throw new Error(
          `not the expected events in ${timeoutMs} ms: ${JSON.stringify(events).slice(0, 4000)}`,
        )
      await sleep(100)
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }

  /** Waits for the end. @returns exit code, or the signal's name. */
  async ended(): Promise<number | string> {
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await new Promise(resolve => this.#process.once('exit', resolve))
    return this.#process.exitCode ?? this.#process.signalCode ?? 'unknown'
  }

  /** Ends gracefully and keeps the folder. */
  async stop(): Promise<number | string> {
    this.signal('SIGTERM')
    return await this.ended()
  }

  /** kill -9, and keeps the folder. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.ended()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL')
    await this.ended()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function configArguments(configPath: string): string[] {
  return configPath === '' ? [] : ['--config', configPath]
}

/** The Node that runs the sources. */
export const nodePath: string = process.execPath

/** Runs the CLI in a folder; never rejects. */
export async function postriderCommand(
  args: readonly string[],
  cwd: string,
  wrapper: readonly string[] = [],
): Promise<CommandResult> {
  const command = [...wrapper, nodePath, join(root, 'src/main.ts'), ...args]
  try {
    const { stdout, stderr } = await run(command[0]!, command.slice(1), {
      cwd,
      maxBuffer: 64 * 1024 * 1024,
    })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return {
      code: typeof code === 'number' ? code : 1,
      stdout: stdout ?? '',
      stderr: stderr ?? String(error),
    }
  }
}

// What every command uses: the global options, output in two forms, the configuration, the running server.
//
// Results go to standard output, everything else (questions, progress, errors) to standard error, so that a pipe gets
// results only. Everything heavy is loaded when it is first needed: help and usage errors must be quick.

import { createInterface } from 'node:readline/promises'
import type { ControlClient } from '../api/control/index.ts'
import type { Config } from '../config/index.ts'
import type { Application } from './application.ts'
import { CliError, cliError } from './error.ts'
import { hasColours, type Io, write } from './io.ts'
import { type Paint, painter } from './text.ts'

/** The options that every command takes. */
export interface GlobalOptions {
  readonly json?: boolean
  readonly config?: string
}

/** One run of the program. */
export class Cli {
  readonly io: Io
  readonly application: Application
  /** Colours for stdout. */
  readonly paint: Paint
  /** Set by commands that print their result and yet have failed. */
  exitCode: 0 | 1 | 2 = 0
  readonly #options: () => GlobalOptions

  /** @param options read when asked, since they are known only after parsing */
  constructor(io: Io, application: Application, options: () => GlobalOptions) {
    this.io = io
    this.application = application
    this.#options = options
    this.paint = painter(hasColours(io.stdout, io.env))
  }

  get isJson(): boolean {
    return this.#options().json === true
  }

  /** The value of --config. */
  get configPath(): string | undefined {
    return this.#options().config
  }

  /** Prints a result: JSON with --json, else what `human` makes of it (with its line ends). */
  async print<T>(value: T, human: (value: T) => string): Promise<void> {
    // Programs read one line as well as many; people only look at JSON in a terminal.
    const json = () => `${JSON.stringify(value, null, this.io.stdout.isTerminal ? 2 : 0)}\n`
    await write(this.io.stdout, this.isJson ? json() : human(value), this.io.closed)
  }

  /** A line for people, apart from the result. */
  async tell(text: string): Promise<void> {
    await write(this.io.stderr, `${text}\n`, this.io.closed)
  }

  /** The configuration; throws with its first problem. */
  async config(): Promise<Config> {
    const { loadConfig, formatProblem } = await import('../config/index.ts')
    const { cwd, env, machineName } = this.io
    const loaded = loadConfig({ path: this.configPath, cwd, env, machineName })
    if (loaded.ok) return loaded.config
    const message = loaded.problems.map(formatProblem).join('; ')
    throw cliError('configuration', message, 'postrider doctor looks at the configuration, too')
  }

  /** Connects to the running server, runs `use`, and closes. */
  async withServer<T>(use: (client: ControlClient) => Promise<T>): Promise<T> {
    const { dataDir } = await this.config()
    const { connectControl, findSocket } = await import('../api/control/index.ts')
    const connected = await connectControl(findSocket(dataDir))
    if (!connected.ok) {
      const { error } = connected
      if (error.code !== 'server-not-running') throw new CliError(error)
      throw cliError(error.code, `${error.message} (${dataDir})`, this.#startHint())
    }
    const { client } = connected
    const close = (): void => client[Symbol.dispose]()
    this.io.closed.addEventListener('abort', close)
    try {
      return await use(client)
    } finally {
      this.io.closed.removeEventListener('abort', close)
      close()
    }
  }

  /** Runs one command of the server; throws what it answers with as an error. */
  async call<T>(
    command: string,
    given: Readonly<Record<string, unknown>> = {},
    onItem?: (item: unknown) => void | Promise<void>,
  ): Promise<T> {
    return await this.withServer(async client => await callServer<T>(client, command, given, onItem))
  }

  /** Runs a command that answers with rows; the rows. */
  async list<T>(command: string, given: Readonly<Record<string, unknown>> = {}): Promise<T[]> {
    const outcome = await this.withServer(async client => await client.list(command, given))
    if (!outcome.ok) throw new CliError(outcome.error)
    return outcome.value as T[]
  }

  /** Asks a person; with nobody to ask it throws and names --yes. */
  async confirm(question: string): Promise<boolean> {
    const { stdin, isStdinTerminal, stderr } = this.io
    if (!isStdinTerminal || !stderr.isTerminal)
      throw cliError('needs-confirmation', question, 'there is no terminal to ask on: add --yes to go on')
    const lines = createInterface({ input: stdin, output: stderr.stream, terminal: true })
    try {
      const answer = await lines.question(`${question} [y/N] `)
      return /^y(es)?$/i.test(answer.trim())
    } finally {
      lines.close()
    }
  }

  #startHint(): string {
    const option = this.configPath === undefined ? '' : ` --config ${this.configPath}`
    return `start it: npm start, or postrider serve${option}; postrider doctor says what is missing`
  }
}

/** Runs one command on an open connection; throws what the server answers with as an error. */
export async function callServer<T>(
  client: ControlClient,
  command: string,
  given: Readonly<Record<string, unknown>> = {},
  onItem?: (item: unknown) => void | Promise<void>,
): Promise<T> {
  const outcome = await client.call(command, given, onItem)
  if (!outcome.ok) throw new CliError(outcome.error)
  return outcome.value as T
}

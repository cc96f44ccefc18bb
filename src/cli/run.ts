// Runs the command line: parses it, runs the command, prints errors, gives the exit code.
//
// Exit codes: 0 done, 1 an error, 2 the command line is wrong. With --json every error is one JSON object on stderr.

import { type Command, CommanderError } from 'commander'
import type { Application } from './application.ts'
import { Cli } from './cli.ts'
import { CliError, cliError } from './error.ts'
import { hasColours, type Io, write } from './io.ts'
import { readPackageFacts } from './package-facts.ts'
import { askedCommand, commandModules, globalOptions, makeProgram } from './program.ts'
import { painter, plain } from './text.ts'

/** Runs one command line; never rejects. */
export async function runCli(argv: readonly string[], io: Io, application: Application): Promise<number> {
  const program = makeProgram(readPackageFacts().version)
  const cli = new Cli(io, application, () => globalOptions(program))
  const wantsJson = isJsonAsked(argv)
  program.configureOutput({
    writeOut: text => void io.stdout.stream.write(text),
    // Usage errors are printed below, in the form that was asked for.
    writeErr: () => undefined,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  })
  try {
    await addCommands(program, cli, askedCommand(argv))
    if (argv.length === 0) {
      program.outputHelp()
      return 2
    }
    await program.parseAsync([...argv], { from: 'user' })
    return cli.exitCode
  } catch (error) {
    if (io.closed.aborted) return 0
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const shown = toCliError(error)
    await printError(shown, io, wantsJson)
    return shown.exitCode
  }
}

async function addCommands(program: Command, cli: Cli, only: string | null): Promise<void> {
  const names = only === null ? Object.keys(commandModules) : [only]
  for (const name of names) (await commandModules[name]?.())?.(program, cli)
}

function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error
  if (error instanceof CommanderError) {
    // A command with subcommands was given none: commander wants to show help.
    if (error.code === 'commander.help')
      return cliError('usage', 'a subcommand is missing', 'add --help to see which there are', 2)
    const message = error.message.replace(/^error: /, '').replace(/\n.*$/s, '')
    const suggestion = /\((Did you mean .*)\)/s.exec(error.message)?.[1]
    return cliError('usage', message, suggestion ?? 'add --help to see what the command takes', 2)
  }
  const { code, message } = error as { code?: unknown; message?: unknown }
  return cliError(
    typeof code === 'string' ? code : 'internal',
    String(message ?? error),
    'if this is not plain to see, please report it with the command that you gave',
  )
}

async function printError(error: CliError, io: Io, wantsJson: boolean): Promise<void> {
  const { code, message, hint } = error
  const paint = painter(hasColours(io.stderr, io.env))
  const text = wantsJson
    ? `${JSON.stringify({ error: { code, message, hint } })}\n`
    : `${paint('bad', 'error:')} ${plain(message)}\n${hint === '' ? '' : `${paint('quiet', plain(hint))}\n`}`
  await write(io.stderr, text, io.closed)
}

/** Asked of the words themselves: a line that cannot be parsed may still say how it wants its error. */
function isJsonAsked(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json')
}

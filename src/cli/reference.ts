// The reference page of the command line, made from the definitions of the commands: docs/reference/cli.md.
//
// The one file that loads all commands; only scripts/reference.ts and tests use it.

import { PassThrough } from 'node:stream'
import type { Argument, Command, Option } from 'commander'
import { accountCommand } from './account.ts'
import { backupCommand } from './backup.ts'
import { bounceCommand } from './bounce.ts'
import { Cli } from './cli.ts'
import { credentialCommand } from './credential.ts'
import { doctorCommand } from './doctor.ts'
import { domainCommand } from './domain.ts'
import { eventsCommand } from './events.ts'
import { initCommand } from './init.ts'
import { labCommand } from './lab.ts'
import { messageCommand } from './message.ts'
import { type CommandModule, makeProgram } from './program.ts'
import { queueCommand } from './queue.ts'
import { restoreCommand } from './restore.ts'
import { sendCommand } from './send.ts'
import { serveCommand } from './serve.ts'
import { streamCommand } from './stream.ts'

const modules: readonly CommandModule[] = [
  serveCommand,
  initCommand,
  doctorCommand,
  accountCommand,
  credentialCommand,
  domainCommand,
  streamCommand,
  sendCommand,
  messageCommand,
  queueCommand,
  eventsCommand,
  bounceCommand,
  labCommand,
  backupCommand,
  restoreCommand,
]

/** The page. */
export function cliReference(): string {
  const program = makeProgram('')
  const output = { stream: new PassThrough(), isTerminal: false }
  const io = {
    stdin: new PassThrough(),
    isStdinTerminal: false,
    stdout: output,
    stderr: output,
    env: {},
    cwd: '/',
    machineName: '',
    closed: new AbortController().signal,
  }
  const never = (): never => {
    throw new Error('the reference page runs no command')
  }
  const application = { serve: never, backup: never, restore: never, openBackup: never }
  const cli = new Cli(io, application, () => ({}))
  for (const add of modules) add(program, cli)
  return [
    '# The postrider command\n',
    'Every command takes `--json` and `--config`, before or after its own options. Exit codes: 0 done, 1 an error, 2 the command line is wrong. With `--json` an error is `{"error":{"code","message","hint"}}` on standard error.\n',
    optionTable(program.options),
    ...program.commands.map(command => describe(command, 'postrider')),
  ].join('\n')
}

function describe(command: Command, parent: string): string {
  const name = `${parent} ${command.name()}`
  const title = `## ${name}\n\n${sentence(command.description())}\n`
  if (command.commands.length > 0)
    return [title, ...command.commands.map(child => describe(child, name).replace(/^##/, '###'))].join('\n')
  const words = command.registeredArguments.map(argumentText).join(' ')
  const usage = `    ${[name, words, command.options.length > 0 ? '[options]' : ''].filter(Boolean).join(' ')}\n`
  const rows = command.registeredArguments.map(
    argument => `| \`${argumentText(argument)}\` | ${cell(argument.description)} |`,
  )
  const table = rows.length === 0 ? '' : `| Argument | Meaning |\n|---|---|\n${rows.join('\n')}\n`
  return [title, usage, table, optionTable(command.options)].filter(Boolean).join('\n')
}

function argumentText(argument: Argument): string {
  const name = argument.variadic ? `${argument.name()}…` : argument.name()
  return argument.required ? `<${name}>` : `[${name}]`
}

function optionTable(options: readonly Option[]): string {
  if (options.length === 0) return ''
  const rows = options.map(option => {
    const notes = [
      option.mandatory ? 'required' : '',
      option.argChoices === undefined
        ? ''
        : `one of ${option.argChoices.map(word => `\`${word}\``).join(', ')}`,
      typeof option.defaultValue === 'string' && option.defaultValue !== ''
        ? `default \`${option.defaultValue}\``
        : '',
    ].filter(Boolean)
    const note = notes.length === 0 ? '' : ` (${notes.join('; ')})`
    return `| \`${option.flags}\` | ${cell(option.description + note)} |`
  })
  return `| Option | Meaning |\n|---|---|\n${rows.join('\n')}\n`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

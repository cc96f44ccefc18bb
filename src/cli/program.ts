// The commands of `postrider` and the commander program that reads the command line.
//
// Each command is a file that is loaded only when it is asked for, or when help or the reference page needs them all.

import { Command } from 'commander'
import type { Cli, GlobalOptions } from './cli.ts'

/** Adds a command to the program. */
export type CommandModule = (program: Command, cli: Cli) => void

/** Every command with the way to load it, in the order of the help text. */
export const commandModules: Readonly<Record<string, () => Promise<CommandModule>>> = {
  serve: async () => (await import('./serve.ts')).serveCommand,
  init: async () => (await import('./init.ts')).initCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
  account: async () => (await import('./account.ts')).accountCommand,
  credential: async () => (await import('./credential.ts')).credentialCommand,
  domain: async () => (await import('./domain.ts')).domainCommand,
  stream: async () => (await import('./stream.ts')).streamCommand,
  send: async () => (await import('./send.ts')).sendCommand,
  message: async () => (await import('./message.ts')).messageCommand,
  queue: async () => (await import('./queue.ts')).queueCommand,
  events: async () => (await import('./events.ts')).eventsCommand,
  bounce: async () => (await import('./bounce.ts')).bounceCommand,
  lab: async () => (await import('./lab.ts')).labCommand,
  backup: async () => (await import('./backup.ts')).backupCommand,
  restore: async () => (await import('./restore.ts')).restoreCommand,
}

/** The program without commands. */
export function makeProgram(version: string): Command {
  return new Command('postrider')
    .description('A self-hosted SMTP relay service: accepts, signs, queues durably, delivers, explains.')
    .version(version, '--version', 'print the version')
    .option('--json', 'print results and errors as JSON')
    .option(
      '--config <file>',
      'configuration file (default: ./postrider.toml, then /etc/postrider/postrider.toml)',
    )
    .helpOption('-h, --help', 'show help')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError(true)
    .exitOverride()
}

/** The global options of a parsed program. */
export function globalOptions(program: Command): GlobalOptions {
  return program.opts<GlobalOptions>()
}

/** The command that the arguments ask for; null when they ask for none or for help. */
export function askedCommand(argv: readonly string[]): string | null {
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (word === '--config') at++
    else if (!word.startsWith('-')) return Object.hasOwn(commandModules, word) ? word : null
  }
  return null
}

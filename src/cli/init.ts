// `postrider init`: writes a postrider.toml with every key, commented out, and its meaning.
//
// The text comes from the schema, so that it is always complete and always loads. A file in /etc is that of a service: its
// data folder is written out, so that the server and the command line find the same one.

import { existsSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Cli } from './cli.ts'
import { cliError } from './error.ts'

/** Where a service keeps its data; the systemd unit gives it this folder. */
const systemDataDir = '/var/lib/postrider'

/** Adds `init`. */
export function initCommand(program: Command, cli: Cli): void {
  program
    .command('init')
    .description('write a commented configuration file')
    .option('--hostname <name>', 'the name of this server (default: that of the machine)')
    .action(async ({ hostname }: { hostname?: string }) => {
      const path = resolve(cli.io.cwd, cli.configPath ?? 'postrider.toml')
      const { configTemplate } = await import('./config-template.ts')
      const name = (hostname ?? cli.io.machineName).toLowerCase()
      if (existsSync(path)) throw alreadyThere(path)
      try {
        const isSystem = path.startsWith('/etc/')
        const text = configTemplate(name, isSystem ? systemDataDir : null)
        // The service's user must read it; secrets are in files of their own (`password_file`).
        writeFileSync(path, text, { flag: 'wx', mode: isSystem ? 0o644 : 0o640 })
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EEXIST') throw alreadyThere(path)
        throw cliError(
          'not-written',
          `${path} cannot be written (${code ?? 'unknown error'})`,
          'choose a place with --config',
        )
      }
      await cli.print(
        { path },
        () =>
          `${path} written\nnext: ${name.includes('.') ? 'read it' : 'set hostname in it, the name of this server in DNS'}, then postrider doctor and postrider serve\n`,
      )
    })
}

function alreadyThere(path: string): Error {
  return cliError(
    'exists',
    `${path} exists and is left as it is`,
    'choose another place with --config, or move it away',
  )
}

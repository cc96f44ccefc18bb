// `postrider init`: writes a postrider.toml with every key, commented out, and its meaning.
//
// The text comes from the schema, so that it is always complete and always loads.

import { existsSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Cli } from './cli.ts'
import { cliError } from './error.ts'

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
        writeFileSync(path, configTemplate(name), { flag: 'wx', mode: 0o640 })
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
        () => `${path} written\nnext: read it, then postrider doctor and postrider serve\n`,
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

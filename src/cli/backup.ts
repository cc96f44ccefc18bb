// `postrider backup TARGET`: a consistent copy of the data folder, with or without a running server.

import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Cli } from './cli.ts'
import { storeFailure } from './store-failure.ts'
import { counted } from './text.ts'

/** Adds `backup`. */
export function backupCommand(program: Command, cli: Cli): void {
  program
    .command('backup')
    .description('copy the data folder, also while the server runs')
    .argument('<target>', 'a folder that is empty or does not exist')
    .action(async (target: string) => {
      const { dataDir } = await cli.config()
      const folder = resolve(cli.io.cwd, target)
      try {
        const made = await cli.application.backup({ dataDir, target: folder, nowMs: Date.now() })
        await cli.print(
          { target: folder, ...made },
          ({ messages, recipients }) =>
            `${counted(messages, 'message')} with ${counted(recipients, 'waiting recipient')} copied to ${folder}\n` +
            `${cli.paint('careful', 'it holds the keys of your domains: keep it as safe as the data folder')}\n`,
        )
      } catch (error) {
        throw storeFailure(error)
      }
    })
}

// `postrider serve`: runs the relay until it is told to stop.

import type { Command } from 'commander'
import type { Cli } from './cli.ts'

/** Adds `serve`. */
export function serveCommand(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('run the relay; the first run without a configuration sets itself up')
    .action(async () => {
      cli.exitCode = await cli.application.serve({ configPath: cli.configPath })
    })
}

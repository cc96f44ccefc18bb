// `postrider serve`: runs the relay until it is told to stop.

import type { Command } from 'commander'
import type { Cli } from './cli.ts'

/** What the server is started with. */
export interface ServeOptions {
  /** The value of --config. */
  readonly configPath: string | undefined
}

/** Adds `serve`. */
export function serveCommand(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('run the relay; the first run without a configuration sets itself up')
    .action(async () => {
      const path: string = '../app/serve.ts'
      const { serve } = (await import(path)) as { serve: (options: ServeOptions) => Promise<0 | 1 | 2> }
      cli.exitCode = await serve({ configPath: cli.configPath })
    })
}

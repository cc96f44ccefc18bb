// `postrider events`: the event log as JSON lines, from the oldest, and on request as it grows.

import type { Command } from 'commander'
import type { Cli } from './cli.ts'
import { write } from './io.ts'
import { said, whole } from './options.ts'

interface EventsOptions {
  readonly after?: number
  readonly limit?: number
  readonly follow?: boolean
}

/** Adds `events`. */
export function eventsCommand(program: Command, cli: Cli): void {
  program
    .command('events')
    .description('print events, one JSON object a line, the oldest first')
    .option('--after <seq>', 'only those after this sequence number', whole(0))
    .option('--limit <count>', 'at most so many', whole(1))
    .option('--follow', 'go on as new ones come, until interrupted')
    .action(async ({ after, limit, follow }: EventsOptions) => {
      const { stdout, closed } = cli.io
      await cli.call('event.list', said({ after, limit, follow }), async event => {
        await write(stdout, `${JSON.stringify(event)}\n`, closed)
      })
    })
}

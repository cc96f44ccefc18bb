// `postrider stream list|update`: how the messages of a stream are treated.

import { type Command, Option } from 'commander'
import type { StreamJson } from '../accounts/index.ts'
import type { Cli } from './cli.ts'
import { cliError } from './error.ts'
import { said, whole } from './options.ts'
import { formatTable } from './table.ts'

interface UpdateOptions {
  readonly account: string
  readonly failureReport?: string
  readonly kind?: string
  readonly priority?: number
}

/** Adds `stream`. */
export function streamCommand(program: Command, cli: Cli): void {
  const stream = program.command('stream').description('message streams of an account')
  const print = (rows: StreamJson[]): string => describeStreams(rows, cli)

  stream
    .command('list')
    .description('list the streams')
    .option('--account <account>', 'only those of this account')
    .action(async ({ account }: { account?: string }) => {
      await cli.print(await cli.list<StreamJson>('stream.list', said({ account })), print)
    })

  stream
    .command('update')
    .description('change a stream')
    .argument('<stream>', 'its id or name; every account has "default"')
    .requiredOption('--account <account>', 'id or name of the account')
    .addOption(
      new Option('--failure-report <what>', 'what a final failure makes').choices(['event', 'event+dsn']),
    )
    .addOption(new Option('--kind <kind>', 'what its messages are').choices(['transactional', 'broadcast']))
    .option('--priority <number>', 'from 0 (urgent) to 9', whole(0, 9))
    .action(async (name: string, { account, failureReport, kind, priority }: UpdateOptions) => {
      const change = said({ failureReport, kind, priority })
      if (Object.keys(change).length === 0)
        throw cliError('usage', 'nothing to change', 'give --failure-report, --kind or --priority', 2)
      const updated = await cli.call<StreamJson>('stream.update', { account, stream: name, ...change })
      await cli.print(updated, one => print([one]))
    })
}

function describeStreams(rows: readonly StreamJson[], cli: Cli): string {
  return formatTable(
    [
      { title: 'ACCOUNT', cell: (row: StreamJson) => row.account },
      { title: 'STREAM', cell: row => row.name },
      { title: 'KIND', cell: row => row.kind },
      { title: 'FAILURE REPORT', cell: row => row.failureReport },
      { title: 'PRIORITY', cell: row => String(row.priority), isRight: true },
      { title: 'ID', cell: row => row.id },
    ],
    rows,
    cli.paint,
    'no streams',
  )
}

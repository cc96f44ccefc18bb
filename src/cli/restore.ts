// `postrider restore SOURCE`: a data folder out of a backup.
//
// The queue starts held: much of it may have been delivered after the backup was made, and only a person can tell.

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { firstFew } from '../base/index.ts'
import type { BackupPreview } from './application.ts'
import type { Cli } from './cli.ts'
import { storeFailure } from './store-failure.ts'
import { formatTable } from './table.ts'
import { counted } from './text.ts'

interface Preview {
  readonly source: string
  readonly createdAt: string
  readonly messages: number
  readonly recipients: number
  readonly oldestAcceptedAt: string | null
  readonly newestAcceptedAt: string | null
  readonly lacking: BackupPreview['lacking']
  readonly domains: readonly { readonly domain: string; readonly recipients: number }[]
}

/** Adds `restore`. */
export function restoreCommand(program: Command, cli: Cli): void {
  program
    .command('restore')
    .description('make a data folder out of a backup; everything in its queue is held at first')
    .argument('<source>', 'a folder that postrider backup made')
    .option('--preview', 'only say what it would bring back to send')
    .option('--incomplete', 'restore although contents of messages are missing')
    .action(async (given: string, options: { preview?: boolean; incomplete?: boolean }) => {
      const source = resolve(cli.io.cwd, given)
      try {
        await (options.preview === true
          ? preview(cli, source)
          : restoreAll(cli, source, options.incomplete === true))
      } catch (error) {
        throw storeFailure(error)
      }
    })
}

async function restoreAll(cli: Cli, source: string, mayLackContents: boolean): Promise<void> {
  const { dataDir } = await cli.config()
  const held = await cli.application.restore({ source, dataDir, nowMs: Date.now(), mayLackContents })
  await cli.print(
    { dataDir, held },
    () =>
      `restored into ${dataDir}; ${counted(held, 'recipient')} held\n` +
      'next: start the server, look with postrider queue list, then postrider queue release\n',
  )
}

async function preview(cli: Cli, source: string): Promise<void> {
  using opened = await cli.application.openBackup(source)
  const { createdAt, messages, recipients, oldestAcceptedAtMs, newestAcceptedAtMs, lacking } = opened
  const shown: Preview = {
    source,
    createdAt,
    messages,
    recipients,
    oldestAcceptedAt: instantOrNull(oldestAcceptedAtMs),
    newestAcceptedAt: instantOrNull(newestAcceptedAtMs),
    lacking,
    domains: opened.domains(50),
  }
  await cli.print(shown, one => describePreview(one, cli))
}

function describePreview(one: Preview, cli: Cli): string {
  const { source, createdAt, messages, recipients, oldestAcceptedAt, newestAcceptedAt, lacking, domains } =
    one
  const head = `${source}, made ${createdAt}: ${counted(messages, 'message')} with ${counted(recipients, 'waiting recipient')}`
  const span =
    oldestAcceptedAt === null ? '' : `accepted between ${oldestAcceptedAt} and ${newestAcceptedAt}\n`
  const lack = `it lacks contents of ${counted(lacking.messages, 'message')} (${firstFew(lacking.files)})`
  const warning = lacking.messages === 0 ? '' : `${cli.paint('careful', lack)}\n`
  const table = formatTable(
    [
      { title: 'DOMAIN', cell: (row: Preview['domains'][number]) => row.domain },
      { title: 'RECIPIENTS', cell: row => String(row.recipients), isRight: true },
    ],
    domains,
    cli.paint,
    'nothing waits in it',
  )
  return `${head}\n${span}${warning}What was delivered after that moment would be sent again when released.\n\n${table}`
}

function instantOrNull(atMs: number): string | null {
  return atMs === 0 ? null : new Date(atMs).toISOString()
}

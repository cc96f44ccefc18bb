// `postrider message show|list`: what became of a message, as a story or as JSON.
//
// The server sends recipients and events one by one; the object of the contract is put together here.

import type { Command } from 'commander'
import type { MessageListRow, RecipientJson } from '../api/control/index.ts'
import type { Cli } from './cli.ts'
import { said } from './options.ts'
import { type Page, type PageOptions, printPage, withPages } from './pages.ts'
import { type ShownMessage, type ToldEvent, tellStory } from './story.ts'
import { formatTable } from './table.ts'

interface ListOptions extends PageOptions {
  readonly account?: string
  readonly domain?: string
  readonly open?: boolean
}

/** Adds `message`. */
export function messageCommand(program: Command, cli: Cli): void {
  const message = program.command('message').description('what became of messages')

  message
    .command('show')
    .description('show a message, its recipients and everything that happened to it')
    .argument('<id>', 'its id (msg_…), also of one of its recipients')
    .action(async (id: string) => {
      await cli.print(await readMessage(cli, id), shown => tellStory(shown, cli.paint))
    })

  const list = message
    .command('list')
    .description('list messages, the newest first: those in the queue and those lately done')
    .option('--account <account>', 'only of this account')
    .option('--domain <domain>', 'only those that wait for recipients in this domain')
    .option('--open', 'only those with something left to send')
  withPages(list, 50).action(async ({ account, domain, limit, cursor, open, page }: ListOptions) => {
    const given = said({ account, domain, limit, cursor, open })
    const found = await cli.call<Page<MessageListRow>>('message.list', given)
    await printPage(cli, list, found, page === true, rows => describeRows(rows, cli))
  })
}

/** Reads a message with its recipients and events. */
async function readMessage(cli: Cli, id: string): Promise<ShownMessage> {
  const recipients: RecipientJson[] = []
  const events: ToldEvent[] = []
  const [messageId = ''] = id.split('.')
  const rest = await cli.call<Omit<ShownMessage, 'recipients' | 'events'>>(
    'message.show',
    { message: messageId },
    item => {
      const { recipient, event } = item as { recipient?: RecipientJson; event?: ToldEvent }
      if (recipient !== undefined) recipients.push(recipient)
      if (event !== undefined) events.push(event)
    },
  )
  return { ...rest, recipients, events }
}

function describeRows(rows: readonly MessageListRow[], cli: Cli): string {
  return formatTable(
    [
      { title: 'MESSAGE', cell: (row: MessageListRow) => row.id },
      { title: 'ACCEPTED', cell: row => row.acceptedAt },
      { title: 'ACCOUNT', cell: row => row.account ?? '' },
      { title: 'FROM', cell: row => (row.reversePath === '' ? '<>' : row.reversePath) },
      { title: 'BYTES', cell: row => String(row.sizeBytes), isRight: true },
      {
        title: 'OPEN',
        cell: row => ({
          text: String(row.openRecipients),
          tone: row.openRecipients === 0 ? 'quiet' : 'careful',
        }),
        isRight: true,
      },
    ],
    rows,
    cli.paint,
    'no messages: postrider send sends one',
  )
}

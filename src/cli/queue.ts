// `postrider queue list|hold|release|retry|expire|reroute`: what waits, and what to do with it.
//
// An action counts first and asks before it touches more than one recipient; the server then works in steps and tells
// how far it is. Leased recipients are called back first; those in flight end as they will.

import { type Command, Option } from 'commander'
import type { ControlClient, QueueRowJson } from '../api/control/index.ts'
import { type Cli, callServer } from './cli.ts'
import { cliError } from './error.ts'
import { said } from './options.ts'
import { type Page, type PageOptions, printPage, withPages } from './pages.ts'
import { formatTable } from './table.ts'
import { counted, type Tone } from './text.ts'

interface FilterOptions {
  readonly account?: string
  readonly domain?: string
  readonly message?: string
  readonly recipient?: string
  readonly state?: string
}

interface ActOptions extends FilterOptions {
  readonly all?: boolean
  readonly yes?: boolean
  readonly note?: string
}

interface ActResult {
  readonly done: number
  readonly inFlight: number
}

/** Of the words of the last outcome. */
const textCharactersMax = 100

const states = ['scheduled', 'leased', 'held'] as const
const stateTones: Readonly<Record<string, Tone>> = { held: 'careful', leased: 'good', scheduled: 'plain' }

const actions = [
  { name: 'hold', past: 'held', text: 'keep matching recipients from being sent until they are released' },
  { name: 'release', past: 'released', text: 'let matching held recipients go' },
  { name: 'retry', past: 'due now', text: 'try matching waiting recipients now instead of later' },
  {
    name: 'expire',
    past: 'expired',
    text: 'give up matching recipients: an event says so, and no failure report is sent',
  },
  { name: 'reroute', past: 'rerouted', text: 'send matching recipients to a smarthost' },
] as const

/** Adds `queue`. */
export function queueCommand(program: Command, cli: Cli): void {
  const queue = program.command('queue').description('what waits in the queue, and actions on it')
  const list = withFilters(queue.command('list').description('list waiting recipients'))
  withPages(list, 100).action(async (id: string | undefined, options: FilterOptions & PageOptions) => {
    const { limit, cursor, page } = options
    const given = { ...filterOf(id, options), ...said({ limit, cursor }) }
    const found = await cli.call<Page<QueueRowJson>>('queue.list', given)
    await printPage(cli, list, found, page === true, rows => describeRows(rows, cli))
  })
  for (const { name, past, text } of actions) {
    const command = withFilters(queue.command(name).description(text))
      .option('--all', 'every recipient in the queue')
      .option('--yes', 'do not ask')
    if (name === 'hold') command.option('--note <text>', 'why, shown by queue list')
    if (name === 'reroute')
      command.requiredOption(
        '--smarthost <host:port>',
        'where to send them; smtps://host:port for TLS from the first byte',
      )
    command.action(async (id: string | undefined, options: ActOptions & { smarthost?: string }) => {
      const filter = filterOf(id, options)
      if (Object.keys(filter).length === 0 && options.all !== true)
        throw cliError(
          'usage',
          'nothing says which recipients are meant',
          'give an id, a filter, or --all',
          2,
        )
      const { note, smarthost } = options
      const given = { action: name, ...said({ note, smarthost }) }
      const result = await cli.withServer(client => act(cli, client, filter, given, options.yes === true))
      await cli.print(result, ({ done, inFlight }) => {
        const flying = inFlight === 0 ? '' : `; ${inFlight} in flight, not touched`
        return `${counted(done, 'recipient')} ${past}${flying}\n`
      })
    })
  }
}

function withFilters(command: Command): Command {
  const filtered = command
    .argument('[id]', 'a message or a recipient')
    .option('--account <account>', 'only of this account')
    .option('--domain <domain>', 'only recipients in this domain')
    .option('--message <id>', 'only of this message')
    .option('--recipient <id>', 'only this recipient')
    .addOption(new Option('--state <state>', 'only in this state').choices([...states]))
  for (const option of filtered.options) onceOnly(filtered, option)
  return filtered
}

/** Of two values the last would count, and nobody would hear of the other one. */
function onceOnly(command: Command, option: Option): void {
  let isGiven = false
  command.on(`option:${option.name()}`, () => {
    if (isGiven) throw cliError('usage', `--${option.name()} is given twice`, 'run one command for each', 2)
    isGiven = true
  })
}

function filterOf(id: string | undefined, options: FilterOptions): Record<string, unknown> {
  const { account, domain, message, recipient, state } = options
  const filter = said({ account, domain, message, recipient, state })
  if (id === undefined) return filter
  const kind = id.includes('.') ? 'recipient' : 'message'
  const other = options[kind]
  if (other !== undefined && other !== id)
    throw cliError('usage', `${id} and --${kind} ${other} are not the same`, 'give one of them', 2)
  return { ...filter, [kind]: id }
}

async function act(
  cli: Cli,
  client: ControlClient,
  filter: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>> & { readonly action: string },
  isSure: boolean,
): Promise<ActResult> {
  const count = await callServer<{ scheduled: number; leased: number; held: number }>(
    client,
    'queue.count',
    filter,
  )
  const { scheduled, leased, held } = count
  const open = scheduled + leased
  const most =
    given.action === 'release' ? held : ['hold', 'retry'].includes(given.action) ? open : open + held
  if (most > 1 && !isSure && !(await cli.confirm(`${given.action} ${counted(most, 'recipient')}?`)))
    throw cliError('not-confirmed', 'nothing was changed', '')
  let shownAt = 0
  return await callServer<ActResult>(client, 'queue.act', { ...filter, ...given }, async item => {
    const { done, total } = item as { done: number; total: number }
    if (total <= 1000 || done === shownAt) return
    shownAt = done
    await cli.tell(`${done} of ${total}`)
  })
}

function describeRows(rows: readonly QueueRowJson[], cli: Cli): string {
  return formatTable(
    [
      { title: 'RECIPIENT', cell: (row: QueueRowJson) => row.recipientId },
      { title: 'TO', cell: row => row.forwardPath },
      { title: 'STATE', cell: row => ({ text: row.state, tone: stateTones[row.state] ?? 'plain' }) },
      { title: 'ATTEMPTS', cell: row => String(row.attempts), isRight: true },
      { title: 'WHY', cell: row => why(row) },
    ],
    rows,
    cli.paint,
    'nothing waits',
  )
}

function why({ waitReasons, outcome }: QueueRowJson): string {
  const waits = waitReasons.map(reason => reason.detail).join('; ')
  // A server from before an upgrade does not tell it.
  if (!outcome) return waits
  const { code, enhancedCode, text } = outcome
  const words = text.length > textCharactersMax ? `${text.slice(0, textCharactersMax)}…` : text
  return `${waits}; last: ${[code, enhancedCode, words].filter(Boolean).join(' ')}`
}

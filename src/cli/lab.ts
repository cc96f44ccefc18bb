// `postrider lab run|inbox|hosts|behave|addresses`: the small internet on loopback.
//
// `inbox`, `hosts` and `behave` speak to a running server whose lab is on; `run` is a lab by itself, without a server.

import { once } from 'node:events'
import type { Command } from 'commander'
import type { InboxEntry, InboxMessageJson, InboxRowJson, Lab, LabHostJson } from '../lab/index.ts'
import type { Cli } from './cli.ts'
import { cliError } from './error.ts'
import { write } from './io.ts'
import { said, whole } from './options.ts'
import { formatTable } from './table.ts'
import { counted, plain } from './text.ts'

const portMax = 65_535
const defaultDnsPort = 2553
const defaultMxPort = 2526
const shownRecipients = 3

interface RunOptions {
  readonly dnsPort: number
  readonly mxPort: number
  readonly directory?: string
}

/** Adds `lab`. */
export function labCommand(program: Command, cli: Cli): void {
  const lab = program
    .command('lab')
    .description('a small internet on loopback: DNS for .test, receiving servers, an inbox')

  lab
    .command('run')
    .description('run a lab by itself, until interrupted')
    .option('--dns-port <port>', 'port of the DNS server', whole(0, portMax), defaultDnsPort)
    .option('--mx-port <port>', 'port of all receiving servers', whole(0, portMax), defaultMxPort)
    .option('--directory <folder>', 'also keep what arrives in this folder')
    .action(async (options: RunOptions) => await runLab(cli, options))

  addInbox(lab.command('inbox').description('what arrived in the lab of the running server'), cli)

  lab
    .command('hosts')
    .description('the receiving servers and what they have seen')
    .action(async () => {
      const rows = await cli.call<LabHostJson[]>('lab.hosts')
      await cli.print(rows, all => describeHosts(all, cli))
    })

  lab
    .command('behave')
    .description('change how receiving servers behave; postrider lab addresses lists the behaviours')
    .argument('<target>', 'a host, its address, a domain, or * for all')
    .argument('<behaviour>', 'for instance dead, slow, no-tls, ordinary')
    .action(async (target: string, as: string) => {
      const done = await cli.call<{ target: string; as: string }>('lab.behave', { target, as })
      await cli.print(done, () => `${plain(target)} is ${plain(as)} now\n`)
    })

  lab
    .command('addresses')
    .description('the magic addresses, special domains and behaviours')
    .action(async () => {
      const { labDomains, labHosts, labPresets, magicAddresses } = await import('../lab/index.ts')
      const value = {
        addresses: magicAddresses.map(({ form, text, example }) => ({
          name: form,
          text,
          example: `${example}@inbox.test`,
        })),
        domains: [...labHosts, ...labDomains].flatMap(({ domain, text }) =>
          domain === undefined ? [] : [{ name: domain, text }],
        ),
        behaviours: labPresets.map(({ name, text }) => ({ name, text })),
      }
      await cli.print(value, all =>
        [
          describeWords('LOCAL PART', all.addresses, cli),
          describeWords('DOMAIN', all.domains, cli),
          describeWords('BEHAVIOUR', all.behaviours, cli),
        ].join('\n'),
      )
    })
}

function addInbox(inbox: Command, cli: Cli): void {
  inbox
    .command('list')
    .description('list what arrived, the newest last')
    .option('--limit <count>', 'at most so many (default: 100)', whole(1, 1000))
    .action(async ({ limit }: { limit?: number }) => {
      const rows = await cli.call<InboxRowJson[]>('lab.inbox.list', said({ limit }))
      await cli.print(rows, all => describeRows(all, cli))
    })

  inbox
    .command('show')
    .description('show a message as it arrived')
    .argument('<id>', 'its id (lab_1), or only the number')
    .option('--raw', 'the content alone, byte for byte')
    .action(async (id: string, { raw }: { raw?: boolean }) => {
      const message = await cli.call<InboxMessageJson>('lab.inbox.show', { id })
      const content = Buffer.from(message.contentBase64, 'base64')
      if (raw === true) cli.io.stdout.stream.write(content)
      else await cli.print(message, shown => describeMessage(shown, content))
      if (!message.isWhole) await cli.tell(`only the first ${content.length} of ${message.sizeBytes} bytes`)
    })

  inbox
    .command('clear')
    .description('forget everything that arrived')
    .action(async () => {
      const done = await cli.call<{ cleared: number }>('lab.inbox.clear')
      await cli.print(done, ({ cleared }) => `${counted(cleared, 'message')} forgotten\n`)
    })
}

async function runLab(cli: Cli, { dnsPort, mxPort, directory }: RunOptions): Promise<void> {
  const { startLab } = await import('../lab/index.ts')
  let lab: Lab
  try {
    lab = await startLab({ dnsPort, mxPort, directory: directory ?? null })
  } catch (error) {
    const { message } = error as Error
    throw cliError(
      'lab-failed',
      `the lab cannot start: ${message}`,
      'name other ports: --dns-port, --mx-port',
    )
  }
  await using running = lab
  const { stdout, closed } = cli.io
  await cli.print({ dnsPort: running.dnsPort, mxPort: running.mxPort, network: running.network }, () =>
    welcome(running),
  )
  running.inbox.subscribe(entry => {
    const text = cli.isJson ? `${JSON.stringify(arrivalJson(entry))}\n` : describeArrival(entry)
    void write(stdout, text, closed)
  })
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, closed])
  const endings = ['SIGINT', 'SIGTERM'].map(name => once(process, name, { signal }))
  // The stream of whoever reads our output may end first.
  await Promise.race([...endings, once(closed, 'abort', { signal: stop.signal })]).catch(() => undefined)
  stop.abort()
  await Promise.allSettled(endings)
}

function welcome({ dnsPort, mxPort, network }: Lab): string {
  const host = network.startsWith('127.77.') ? '127.77.0.1' : '127.0.0.1'
  return [
    `DNS for .test on 127.0.0.1:${dnsPort}, receiving servers on port ${mxPort} of ${network}.`,
    '',
    `  dig @127.0.0.1 -p ${dnsPort} MX inbox.test`,
    `  swaks --server ${host}:${mxPort} --to defer-1@inbox.test`,
    '  postrider lab addresses',
    '',
    'To let a relay deliver here: [dns] servers, [delivery] port and allow_private in its configuration.',
    'What arrives is shown below; Ctrl-C ends the lab.',
    '',
    '',
  ].join('\n')
}

function arrivalJson({ id, host, reversePath, recipients, content }: InboxEntry): Record<string, unknown> {
  return {
    id,
    host,
    reversePath,
    recipients: recipients.map(one => one.forwardPath),
    sizeBytes: content.length,
  }
}

function describeArrival(entry: InboxEntry): string {
  const to = someOf(entry.recipients.map(one => one.forwardPath))
  const how = entry.tls === null ? 'in the clear' : entry.tls.protocol
  return plain(
    `${entry.id} ${entry.host}: <${entry.reversePath}> to ${to}, ${entry.content.length} bytes, ${how}`,
  ).concat('\n')
}

function someOf(addresses: readonly string[]): string {
  const more = addresses.length - shownRecipients
  return addresses.slice(0, shownRecipients).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

interface Word {
  readonly name: string
  readonly text: string
}

function describeWords(title: string, words: readonly Word[], cli: Cli): string {
  return formatTable(
    [
      { title, cell: (word: Word) => word.name },
      { title: 'WHAT HAPPENS', cell: word => word.text.replaceAll('`', '') },
    ],
    words,
    cli.paint,
    '',
  )
}

function describeRows(rows: readonly InboxRowJson[], cli: Cli): string {
  return formatTable(
    [
      { title: 'ID', cell: (row: InboxRowJson) => row.id },
      { title: 'RECEIVED', cell: row => row.receivedAt },
      { title: 'HOST', cell: row => row.host },
      { title: 'FROM', cell: row => (row.reversePath === '' ? '<>' : row.reversePath) },
      { title: 'TO', cell: row => someOf(row.recipients) },
      { title: 'BYTES', cell: row => String(row.sizeBytes), isRight: true },
      { title: 'SUBJECT', cell: row => row.subject },
    ],
    rows,
    cli.paint,
    'nothing has arrived yet: send to any address under .test',
  )
}

function describeMessage(message: InboxMessageJson, content: Buffer): string {
  const { client, tls } = message
  const facts = [
    `${message.id}, received ${message.receivedAt} by ${message.host}`,
    `from  <${message.reversePath}>`,
    ...message.recipients.map(address => `to    <${address}>`),
    `by    ${client.helloName} [${client.address}]:${client.port}, ${tls === null ? 'in the clear' : `${tls.protocol} ${tls.cipher}`}`,
  ]
  const lines = content.toString('utf8').split('\r\n')
  // Tabs are harmless, and usual in folded headers.
  const shown = [...facts, '', ...lines].map(line => line.split('\t').map(plain).join('\t'))
  return `${shown.join('\n')}\n`
}

function describeHosts(rows: readonly LabHostJson[], cli: Cli): string {
  return formatTable(
    [
      { title: 'HOST', cell: (row: LabHostJson) => row.host },
      { title: 'CONNECTIONS', cell: row => String(row.connections), isRight: true },
      { title: 'MESSAGES', cell: row => String(row.messages), isRight: true },
      { title: 'BYTES', cell: row => String(row.bytes), isRight: true },
      { title: 'BEHAVIOUR', cell: row => row.text },
    ],
    rows,
    cli.paint,
    'no hosts',
  )
}

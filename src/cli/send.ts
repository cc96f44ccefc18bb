// `postrider send`: submits a message through SMTP to the running server, as an application would.
//
// Plan:
//  1. compose the message, or read one that is ready (--raw)
//  2. find the door and the credential: options, else data/first-run.json, else the server's own list of listeners
//  3. submit over TLS; print the id from the reply to the end of data

import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { parseHostPort } from '../base/index.ts'
import type { Cli } from './cli.ts'
import { cliError } from './error.ts'
import { readAll } from './io.ts'
import { several } from './options.ts'
import type { SubmissionDoor } from './submit.ts'

interface SendOptions {
  readonly from: string
  readonly to: readonly string[]
  readonly subject?: string
  readonly text?: string
  readonly html?: string
  readonly attach?: readonly string[]
  readonly raw?: string
  readonly smtp?: string
  readonly username?: string
  readonly secret?: string
  readonly secretFile?: string
}

interface Login {
  readonly username: string
  readonly secret: string
  readonly smtp: { readonly host: string; readonly port: number } | null
}

const messageSizeBytesMax = 100 * 1024 * 1024

/** Adds `send`. */
export function sendCommand(program: Command, cli: Cli): void {
  program
    .command('send')
    .description('send a message through the running server; prints its id')
    .requiredOption('--from <address>', 'sender, in a domain of the account')
    .requiredOption('--to <address>', 'recipient; may be given several times', several)
    .option('--subject <text>', 'subject')
    .option('--text <text>', 'text of the message')
    .option('--html <html>', 'HTML form of the message')
    .option('--attach <file>', 'file to attach; may be given several times', several)
    .option('--raw <file>', 'send this finished message instead ("-": standard input)')
    .option('--smtp <host:port>', 'the door (default: a submission listener of the server)')
    .option('--username <name>', 'user name of the credential (default: that of data/first-run.json)')
    .option('--secret <secret>', 'its secret; others on this machine may see it in the list of processes')
    .option('--secret-file <file>', 'file with its secret')
    .action(async (options: SendOptions) => {
      const content = await contentOf(cli, options)
      const { submit } = await import('./submit.ts')
      const door = await findDoor(cli, options)
      const sent = await submit(door, options.from, options.to, content)
      await cli.print(sent, ({ id }) => `${id}\n`)
      if (sent.refused.length > 0) {
        const [first] = sent.refused
        throw cliError(
          'recipients-refused',
          `sent, but not to ${sent.refused.length} of ${options.to.length} recipients: ${first?.forwardPath}: ${first?.reply}`,
          `postrider message show ${sent.id}`,
        )
      }
    })
}

async function contentOf(cli: Cli, options: SendOptions): Promise<Buffer> {
  const { raw, subject, text, html, attach = [], from, to } = options
  if (raw !== undefined) {
    if ([subject, text, html].some(one => one !== undefined) || attach.length > 0)
      throw cliError(
        'usage',
        '--raw is a whole message',
        'leave out --subject, --text, --html and --attach',
        2,
      )
    const bytes =
      raw === '-' ? await readAll(cli.io.stdin, messageSizeBytesMax) : readFileSync(resolve(cli.io.cwd, raw))
    if (bytes === null)
      throw cliError('too-large', 'the message is larger than 100 MiB', 'send something smaller')
    return Buffer.from(bytes.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1')
  }
  const { default: MailComposer } = await import('nodemailer/lib/mail-composer')
  const mail = new MailComposer({
    from,
    to: [...to],
    subject: subject ?? 'A message from Postrider',
    text: text ?? (html === undefined ? 'This message was sent with: postrider send' : undefined),
    html,
    newline: '\r\n',
    attachments: attach.map(path => ({ path: resolve(cli.io.cwd, path) })),
  })
  return await mail.compile().build()
}

async function findDoor(cli: Cli, options: SendOptions): Promise<SubmissionDoor> {
  const { formatProblem, loadConfig } = await import('../config/index.ts')
  const { cwd, env, machineName } = cli.io
  const loaded = loadConfig({ path: cli.configPath, cwd, env, machineName })
  if (!loaded.ok)
    throw cliError('configuration', loaded.problems.map(formatProblem).join('; '), 'postrider doctor')
  const { config } = loaded
  const login = readLogin(cli, options, config.dataDir)
  const given = options.smtp === undefined ? null : parseHostPort(options.smtp)
  if (given !== null && !given.ok)
    throw cliError('usage', `--smtp: ${given.why}`, 'for instance 127.0.0.1:2587', 2)
  const address = given?.value ?? login.smtp ?? (await listenerOf(cli))
  const isImplicit = config.listeners.some(
    one => one.kind === 'submissions' && one.address.port === address.port,
  )
  return {
    host: address.host,
    port: address.port,
    isImplicitTls: isImplicit,
    serverName: config.hostname,
    heloName: config.hostname,
    authority: config.tls === null ? readIfThere(join(config.dataDir, 'tls', 'certificate.pem')) : null,
    username: login.username,
    secret: login.secret,
  }
}

function readLogin(cli: Cli, options: SendOptions, dataDir: string): Login {
  const { username, secret, secretFile } = options
  if (username !== undefined || secret !== undefined || secretFile !== undefined) {
    const found = secretFile === undefined ? secret : readIfThere(resolve(cli.io.cwd, secretFile))?.trim()
    if (!found)
      throw cliError('usage', 'the secret is missing', 'give --secret-file or --secret beside --username', 2)
    return { username: username ?? 'apikey', secret: found, smtp: null }
  }
  const text = readIfThere(join(dataDir, 'first-run.json'))
  const hint = 'make a credential (postrider credential create) and give --username and --secret-file'
  if (text === null)
    throw cliError('no-credential', `${dataDir} has no first-run.json with a credential`, hint)
  try {
    const { username: name, secret: key, smtp } = JSON.parse(text) as Record<string, unknown>
    return { username: String(name), secret: String(key), smtp: smtp as Login['smtp'] }
  } catch {
    throw cliError('no-credential', `${join(dataDir, 'first-run.json')} is not valid JSON`, hint)
  }
}

/** A submission listener of the running server, best with STARTTLS. */
async function listenerOf(cli: Cli): Promise<{ host: string; port: number }> {
  const { listeners } = await cli.call<{ listeners: { kind: string; host: string; port: number }[] }>(
    'server.status',
  )
  const found = ['submission', 'submissions'].flatMap(kind => listeners.filter(one => one.kind === kind))[0]
  if (found === undefined)
    throw cliError(
      'no-listener',
      'the server has no submission listener',
      'add one to the configuration, or give --smtp',
    )
  const anywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  return { host: anywhere[found.host] ?? found.host, port: found.port }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw cliError(
      'not-readable',
      `${path} cannot be read (${code ?? 'unknown error'})`,
      'check its owner and mode',
    )
  }
}

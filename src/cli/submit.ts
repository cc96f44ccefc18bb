// Submits one message over SMTP with our own client.
//
// Never without TLS, since a secret goes over the wire; the certificate is checked unless the server is on this machine
// and shows one that we cannot know.

import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { formatAddress, parseAddress } from '../protocol/mail/index.ts'
import {
  connectSmtp,
  type RecipientResult,
  type SmtpClientSession,
  type SmtpTicking,
} from '../protocol/smtp/client/index.ts'
import type { SmtpReply } from '../protocol/smtp/index.ts'
import { type CliError, cliError } from './error.ts'

/** Where and as whom. */
export interface SubmissionDoor {
  readonly host: string
  readonly port: number
  readonly isImplicitTls: boolean
  /** Name that the certificate must have. */
  readonly serverName: string
  readonly heloName: string
  /** PEM of the server's own certificate; null: the usual authorities, and on loopback no check. */
  readonly authority: string | null
  readonly username: string
  readonly secret: string
}

/** What `send` prints. */
export interface SentJson {
  /** `msg_…` */
  readonly id: string
  readonly accepted: readonly string[]
  readonly refused: readonly { readonly forwardPath: string; readonly reply: string }[]
}

/** Submits; throws a CliError when nothing was taken, and when nobody knows. */
export async function submit(
  door: SubmissionDoor,
  from: string,
  to: readonly string[],
  content: Buffer,
): Promise<SentJson> {
  const reversePath = envelopeAddress(from, '--from')
  const forwardPaths = to.map(path => envelopeAddress(path, '--to'))
  const members = new Set<SmtpTicking>()
  const timer = setInterval(() => {
    for (const member of members) member.tick(performance.now())
  }, 1000)
  try {
    return await transact(await open(door, members), reversePath, forwardPaths, content)
  } finally {
    clearInterval(timer)
  }
}

async function transact(
  session: SmtpClientSession,
  reversePath: string,
  forwardPaths: readonly string[],
  content: Buffer,
): Promise<SentJson> {
  const { recipients } = await session.transact({
    reversePath,
    recipients: forwardPaths.map(forwardPath => ({ forwardPath })),
    parameters: {
      isEightBit: content.some(byte => byte > 127),
      isSmtpUtf8: [reversePath, ...forwardPaths].some(path => /[^\0-\x7f]/.test(path)),
    },
    content: { parts: [content] },
  })
  await session.quit()
  const taken = recipients.find(one => one.isAccepted)
  if (taken?.reply == null)
    throw recipients.some(one => one.isUncertain) ? unknownError() : refusedError(recipients[0])
  const id = taken.reply.lines.at(-1)?.split(' ').at(-1) ?? ''
  return {
    id,
    accepted: forwardPaths.filter((_, at) => recipients[at]?.isAccepted),
    refused: forwardPaths.flatMap((forwardPath, at) =>
      recipients[at]?.isAccepted ? [] : [{ forwardPath, reply: replyText(recipients[at]?.reply ?? null) }],
    ),
  }
}

async function open(door: SubmissionDoor, ticker: Set<SmtpTicking>): Promise<SmtpClientSession> {
  const { host, port, isImplicitTls, serverName, heloName, authority, username, secret } = door
  const address = isIP(host) === 0 ? (await lookup(host)).address : host
  const isLoopback = address === '::1' || address.startsWith('127.')
  const connected = await connectSmtp({
    address,
    port,
    heloName,
    tls: {
      mode: isImplicitTls ? 'implicit' : 'required',
      servername: isIP(host) === 0 ? host : serverName,
      verify: authority !== null || !isLoopback,
      ...(authority === null ? {} : { ca: authority }),
    },
    auth: { username, password: secret },
    ticker,
  })
  if (connected.ok) return connected.session
  const { failure } = connected
  const hint =
    failure.stage === 'auth'
      ? 'check the credential: postrider credential list'
      : failure.stage === 'connect'
        ? 'is the server running, and does it listen there? postrider doctor'
        : 'postrider doctor looks at listeners and certificates'
  throw cliError(`smtp-${failure.stage}`, `${host}:${port}: ${failure.message}`, hint)
}

function refusedError(first: RecipientResult | undefined): CliError {
  const text = replyText(first?.reply ?? null)
  return cliError('refused', `the server did not take the message: ${text}`, 'the reply says what to change')
}

/** All of the content was sent, and the answer to it did not come: sending it again may be sending it twice. */
function unknownError(): CliError {
  return cliError(
    'unknown',
    'the message was sent, and no reply came: whether the server took it is not known',
    'before you send it again, look whether it is there: postrider message list',
  )
}

function replyText(reply: SmtpReply | null): string {
  return reply === null
    ? 'no reply came'
    : `${reply.code} ${reply.enhanced} ${reply.lines.join(' ')}`.replace(/ +/g, ' ')
}

/** `Name <a@b>` or `a@b` as an envelope path with an A-label domain; `<>` is the null path. Throws a CliError. */
function envelopeAddress(text: string, option: '--from' | '--to'): string {
  const bare = (/<([^<>]*)>\s*$/.exec(text)?.[1] ?? text).trim()
  // What MAIL and RCPT may have without a domain.
  if (option === '--from' ? bare === '' : /^postmaster$/i.test(bare)) return bare
  const parsed = parseAddress(bare)
  if (parsed.ok) return formatAddress(parsed.value)
  const shown = JSON.stringify(text.slice(0, 80))
  throw cliError(
    'usage',
    `${option}: ${shown} is no address: ${parsed.why}`,
    'give it as name@example.com',
    2,
  )
}

/**
 * npm's smtp-server as a receiver, in the process of the test. It is a library without opinions on content: what
 * comes out of it is what it read, dots undone, with no trace header of its own.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { SMTPServer, type SMTPServerAddress, type SMTPServerSession } from 'smtp-server'
import type { RcptRefusal } from './rcpt-policy.ts'
import type { PolicyOptions, Receiver, ReceiverOptions } from './receiver.ts'
import type { ReceivedMail } from './recorder.ts'

export interface SmtpServerReceiverOptions extends ReceiverOptions, PolicyOptions {
  /** What it announces with SIZE. Default 100 MiB. */
  readonly sizeBytes?: number
  /** Announces neither SIZE nor 8BITMIME, PIPELINING or SMTPUTF8; refuses what is too large behind its content. */
  readonly isLean?: true
}

/** Start an smtp-server that accepts mail for every recipient. Needs no root. */
export async function startSmtpServerReceiver(options: SmtpServerReceiverOptions): Promise<Receiver> {
  const mails: ReceivedMail[] = []
  const { version } = createRequire(import.meta.url)('smtp-server/package.json') as { version: string }
  const lines: string[] = [`smtp-server ${version}`]
  const note = (line: string): void => void lines.push(line)
  const tls = options.tls
  const server = new SMTPServer({
    name: options.hostname ?? 'smtp-server.peers.test',
    authOptional: true,
    disabledCommands: tls === undefined ? ['AUTH', 'STARTTLS'] : ['AUTH'],
    hideDSN: false,
    disableReverseLookup: true,
    closeTimeout: 100,
    size: options.sizeBytes ?? 100 * 1024 * 1024,
    rejectOversized: true,
    ...(options.isLean === true
      ? { hideSize: true, hide8BITMIME: true, hidePIPELINING: true, hideSMTPUTF8: true }
      : {}),
    ...(tls === undefined ? {} : { cert: await readFile(tls.certificate), key: await readFile(tls.key) }),
    onRcptTo: ({ address: to }, session, callback) => {
      const { remoteAddress: clientAddress, hostNameAppearsAs: helo } = session
      const asked = options.rcptPolicy?.({ clientAddress, helo, from: senderOf(session), to })
      Promise.resolve(asked).then(
        refusal => callback(refusal === undefined ? null : toError(refusal)),
        callback,
      )
    },
    onData: (stream, session, callback) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => void chunks.push(chunk))
      stream.on('end', () => {
        if (stream.sizeExceeded) return void callback(new Error('too large'))
        note(`message proto=${session.transmissionType} secure=${session.secure}`)
        mails.push(toMail(session, Buffer.concat(chunks)))
        callback(null, 'kept')
      })
    },
  })
  server.on('error', error => note(`error ${error.message}`))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.listenAddress, resolve)
  })
  const waitFor = async (count: number, timeoutMs = 60_000): Promise<readonly ReceivedMail[]> => {
    const endMs = performance.now() + timeoutMs
    while (mails.length < count) {
      if (performance.now() > endMs)
        throw new Error(`smtp-server: only ${mails.length} of ${count} mails came within ${timeoutMs} ms`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    return mails
  }
  return {
    name: 'smtp-server',
    address: options.listenAddress,
    port: options.port,
    pid: process.pid,
    received: async () => mails,
    waitFor,
    log: async () => lines.join('\n'),
    [Symbol.asyncDispose]: () => new Promise(resolve => server.close(() => resolve())),
  }
}

function senderOf({ envelope: { mailFrom } }: SMTPServerSession): string {
  return mailFrom === false ? '' : mailFrom.address
}

/** The library puts an enhanced code of its own in front. */
function toError({ code: responseCode, text }: RcptRefusal): Error {
  return Object.assign(new Error(text), { responseCode })
}

function toMail(session: SMTPServerSession, bytes: Buffer): ReceivedMail {
  const { mailFrom, rcptTo } = session.envelope
  return {
    envelopeFrom: senderOf(session),
    mailParameters: mailFrom === false ? '' : parametersOf(mailFrom),
    rcptTo: rcptTo.map(one => one.address),
    rcptParameters: rcptTo.map(parametersOf),
    bytes,
    trace: Buffer.alloc(0),
  }
}

/** `{SIZE: '3', SMTPUTF8: true}` → `SIZE=3 SMTPUTF8`; xtext, which the library undoes, is made again. */
function parametersOf(address: SMTPServerAddress): string {
  return Object.entries(address.args === false ? {} : address.args)
    .map(([name, value]) => (value === true ? name : `${name}=${xtext(value)}`))
    .join(' ')
}

/** RFC 3461 §4: what is no printable ASCII, and + and =, as +XX. */
function xtext(value: string): string {
  const hex = (octet: string): string => `+${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
  return value.replaceAll(/[^!-~]|[+=]/g, hex)
}

// Submitting clients as people use them: swaks, curl, msmtp, nodemailer and Python's smtplib, each told to verify the
// certificate and to use one AUTH mechanism. A refusal of the client or the server is a value, never an exception.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { run } from '../../support/peers/index.ts'

/** One submission. */
export interface Job {
  /** A folder for what the client needs in a file. */
  readonly folder: string
  /** The name (or address) that the client connects to and checks the certificate against. */
  readonly host: string
  readonly port: number
  readonly door: Door
  readonly mechanism: Mechanism
  /** PEM file of the only authority that the client trusts. */
  readonly authority: string
  readonly username: string
  readonly secret: string
  readonly from: string
  readonly to: string
  /** With CRLF line ends, ended by one. */
  readonly content: Buffer
}

/** `starttls`: port 587. `implicit`: port 465. */
export type Door = 'starttls' | 'implicit'
export type Mechanism = 'PLAIN' | 'LOGIN'

/** How a client saw its submission end. */
export interface Sent {
  readonly isTaken: boolean
  /** What the client said, for the failure message of a test. */
  readonly said: string
}

/** A submitting client. */
export interface ClientProgram {
  readonly name: string
  /** What `missingPeers` calls it; empty when it comes from npm. */
  readonly peers: readonly string[]
  readonly send: (job: Job) => Promise<Sent>
  /** Does it check the name in the certificate, or only who signed it? */
  readonly checksName: boolean
}

async function runClient(command: string, args: readonly string[], input: Buffer): Promise<Sent> {
  const { code, stdout, stderr } = await run(command, args, { input, timeoutMs: 30_000 })
  return {
    isTaken: code === 0,
    said: `${command} ended with ${code}\n${stderr}\n${stdout.toString('latin1')}`,
  }
}

function swaks(job: Job): Promise<Sent> {
  const tls = job.door === 'implicit' ? '--tls-on-connect' : '--tls'
  const args = [
    ...['--server', job.host, '--port', String(job.port), '--helo', 'client.example'],
    ...[tls, '--tls-verify', '--tls-ca-path', job.authority],
    ...['--auth', job.mechanism, '--auth-user', job.username, '--auth-password', job.secret],
    ...['--from', job.from, '--to', job.to, '--data', '-'],
  ]
  // swaks ends what it reads with a line end of its own.
  return runClient('swaks', args, job.content.subarray(0, -2))
}

function curl(job: Job): Promise<Sent> {
  const scheme = job.door === 'implicit' ? 'smtps' : 'smtp'
  const args = [
    ...['-sS', '--ssl-reqd', '--cacert', job.authority, '--max-time', '20'],
    ...['--user', `${job.username}:${job.secret}`, '--login-options', `AUTH=${job.mechanism}`],
    ...['--mail-from', job.from, '--mail-rcpt', job.to],
    ...['--upload-file', '-', `${scheme}://${job.host}:${job.port}/client.example`],
  ]
  return runClient('curl', args, job.content)
}

async function msmtp(job: Job): Promise<Sent> {
  const configuration = join(job.folder, 'msmtprc')
  const lines = [
    'account default',
    `host ${job.host}`,
    `port ${job.port}`,
    'domain client.example',
    'timeout 20',
    'tls on',
    `tls_starttls ${job.door === 'starttls' ? 'on' : 'off'}`,
    `tls_trust_file ${job.authority}`,
    `auth ${job.mechanism.toLowerCase()}`,
    `user ${job.username}`,
    `password ${job.secret}`,
    `from ${job.from}`,
  ]
  await writeFile(configuration, `${lines.join('\n')}\n`, { mode: 0o600 })
  // As other programs call a sendmail: lines end in LF alone.
  const input = Buffer.from(job.content.toString('latin1').replaceAll('\r\n', '\n'), 'latin1')
  return await runClient('msmtp', ['--file', configuration, '--', job.to], input)
}

async function nodemailer(job: Job): Promise<Sent> {
  const transport = createTransport({
    host: job.host,
    port: job.port,
    name: 'client.example',
    secure: job.door === 'implicit',
    requireTLS: true,
    tls: { ca: await readFile(job.authority, 'utf8') },
    authMethod: job.mechanism,
    auth: { user: job.username, pass: job.secret },
  })
  try {
    const sent = await transport.sendMail({ envelope: { from: job.from, to: job.to }, raw: job.content })
    return { isTaken: true, said: sent.response }
  } catch (error) {
    return { isTaken: false, said: String(error) }
  } finally {
    transport.close()
  }
}

const smtplibScript = `
import smtplib, ssl, sys
host, port, door, mechanism, authority, username, secret, sender, recipient = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
if door == 'implicit':
    client = smtplib.SMTP_SSL(host, int(port), 'client.example', timeout=20, context=context)
else:
    client = smtplib.SMTP(host, int(port), 'client.example', timeout=20)
    client.starttls(context=context)
client.ehlo()
client.user, client.password = username, secret
client.auth(mechanism, client.auth_plain if mechanism == 'PLAIN' else client.auth_login)
client.sendmail(sender, [recipient], sys.stdin.buffer.read())
client.quit()
`

function smtplib(job: Job): Promise<Sent> {
  const { host, port, door, mechanism, authority, username, secret, from, to } = job
  const args = [
    '-c',
    smtplibScript,
    host,
    String(port),
    door,
    mechanism,
    authority,
    username,
    secret,
    from,
    to,
  ]
  return runClient('/usr/bin/python3', args, job.content)
}

/** All of them. */
export const clientPrograms: readonly ClientProgram[] = [
  { name: 'swaks', peers: ['swaks', 'swaks TLS', 'swaks TLS sockets'], send: swaks, checksName: false },
  { name: 'curl', peers: ['curl'], send: curl, checksName: true },
  { name: 'msmtp', peers: ['msmtp'], send: msmtp, checksName: true },
  { name: 'nodemailer', peers: [], send: nodemailer, checksName: true },
  { name: 'Python smtplib', peers: ['python3'], send: smtplib, checksName: true },
]

// Submitting clients as people use them, each as its page in docs/start/send-from sets it up, and where it is special.
//
// A refusal of the client or of the server is a value, never an exception.

import { access, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run, runOrThrow } from '../../support/peers/index.ts'
import type { Change, ConfigPage } from './config-page.ts'
import { sendByExim } from './exim-client.ts'
import { sendByPostfix } from './postfix-client.ts'
import type { MailHabit, MailKind } from './submitted-mail.ts'

/** `starttls`: port 587. `implicit`: port 465. */
export type Door = 'starttls' | 'implicit'
export type Mechanism = 'PLAIN' | 'LOGIN'

/** One run of a client. */
export interface Job {
  /** A folder of its own, with the mail in it; the client's home. */
  readonly folder: string
  /** The page with all values filled in. */
  readonly page: ConfigPage
  /** PEM file of the only authority that the client trusts. */
  readonly authority: string
  readonly from: string
  readonly to: readonly string[]
}

/** How a client saw its submission end. */
export interface Sent {
  readonly isTaken: boolean
  /** What the client said, on its terminal or in its log. */
  readonly said: string
}

/** What a test does to a client, beside letting it send. */
export type Trouble =
  | 'wrong-secret'
  | 'stranger'
  | 'other-name'
  | 'no-tls'
  | 'foreign-from'
  | 'refused-recipient'
  | 'too-large'

/** A submitting client. */
export interface ClientProgram {
  readonly name: string
  /** Its page in docs/start/send-from. */
  readonly page: string
  /** What `missingPeers` calls it; empty when it comes from npm. */
  readonly peers: readonly string[]
  readonly sends: MailKind
  /** What it does to the mail. */
  readonly habit?: MailHabit
  /** It sends to the others when some of the recipients were refused; else it sends to nobody. */
  readonly sendsToOthers?: true
  /** … and ends as if nothing had gone wrong. */
  readonly hidesRefusedRecipients?: true
  /** Where one can choose: both. */
  readonly mechanisms: readonly Mechanism[]
  /** What makes its page one without TLS. */
  readonly withoutTls: readonly Change[]
  /** False: it looks only at who signed the certificate. */
  readonly checksName?: false
  /** Its own words, where it does not pass on ours. */
  readonly ownWords?: Partial<Readonly<Record<Trouble, RegExp>>>
  readonly send?: (job: Job) => Promise<Sent>
}

/** Writes the files of the page into the folder and runs its command there, as its user would at home. */
export async function runPage(job: Job): Promise<Sent> {
  const { folder, page } = job
  for (const [name, text] of page.files) await writeFile(join(folder, name), text, { mode: 0o600 })
  const command = page.commands.get('') ?? ''
  const { code, stdout, stderr } = await run('sh', ['-ec', command], {
    cwd: folder,
    env: {
      HOME: folder,
      // s-nail asks the system for the home of its user.
      MAILRC: join(folder, '.mailrc'),
      DEAD: join(folder, 'dead.letter'),
      LC_ALL: 'C.UTF-8',
      TERM: 'dumb',
      // One run of a program that lives for a second.
      JDK_JAVA_OPTIONS: '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC',
      PATH: `${dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`,
    },
    timeoutMs: 60_000,
  })
  return {
    isTaken: code === 0,
    said: `${page.name} ended with ${code}\n${stderr}\n${stdout.toString('utf8')}`,
  }
}

/** Java reads authorities from a store of its own, which is made once. */
async function jakartaMail(job: Job): Promise<Sent> {
  const store = `${job.authority}.jks`
  const isMade = await access(store).then(
    () => true,
    () => false,
  )
  if (isMade) return await runPage(job)
  const making = join(job.folder, 'authority.jks')
  const about = ['-importcert', '-noprompt', '-alias', 'test', '-file', job.authority]
  await runOrThrow('keytool', [...about, '-storetype', 'JKS', '-storepass', 'changeit', '-keystore', making])
  await copyFile(making, store)
  return await runPage(job)
}

/** Node looks for packages beside the script. */
export async function sendByNodemailer(job: Job): Promise<Sent> {
  await mkdir(join(job.folder, 'node_modules'))
  const installed = join(import.meta.dirname, '../../../node_modules/nodemailer')
  await symlink(installed, join(job.folder, 'node_modules/nodemailer'))
  return await runPage(job)
}

const both: readonly Mechanism[] = ['PLAIN', 'LOGIN']

/** All of them; Postfix, which takes longest, goes first. */
export const clientPrograms: readonly ClientProgram[] = [
  {
    name: 'Postfix',
    page: 'postfix',
    peers: ['postfix', 'Postfix SASL'],
    sends: 'file',
    mechanisms: both,
    sendsToOthers: true,
    withoutTls: [
      [
        'smtp_tls_security_level = secure',
        'smtp_tls_security_level = none\nsmtp_sasl_security_options = noanonymous',
      ],
    ],
    ownWords: { 'too-large': /message size \d+ exceeds size limit \d+ of server/ },
    send: sendByPostfix,
  },
  {
    name: 'swaks',
    page: 'swaks',
    peers: ['swaks', 'swaks TLS', 'swaks TLS sockets'],
    sends: 'file',
    mechanisms: both,
    withoutTls: [[' --tls --tls-verify', '']],
    checksName: false,
    habit: 'adds a line end',
    sendsToOthers: true,
    hidesRefusedRecipients: true,
  },
  {
    name: 'curl',
    page: 'curl',
    peers: ['curl'],
    sends: 'file',
    mechanisms: both,
    withoutTls: [[' --ssl-reqd', '']],
  },
  {
    name: 'msmtp',
    page: 'msmtp',
    peers: ['msmtp'],
    sends: 'file',
    mechanisms: both,
    withoutTls: [
      ['\ntls on', '\ntls off'],
      ['tls_starttls on', 'tls_starttls off'],
    ],
  },
  {
    name: 's-nail',
    page: 's-nail',
    peers: ['s-nail'],
    sends: 'composed',
    mechanisms: both,
    withoutTls: [[' smtp-use-starttls', '']],
  },
  {
    name: 'mutt',
    page: 'mutt',
    peers: ['mutt'],
    sends: 'composed',
    mechanisms: both,
    withoutTls: [
      ['ssl_starttls = yes', 'ssl_starttls = no'],
      ['ssl_force_tls = yes', 'ssl_force_tls = no'],
    ],
    ownWords: { 'wrong-secret': /SASL authentication failed/, 'refused-recipient': /Bad IDN/ },
  },
  {
    name: 'git send-email',
    page: 'git-send-email',
    peers: ['git send-email', 'Net::SMTP AUTH', 'swaks TLS sockets'],
    sends: 'patch',
    mechanisms: both,
    withoutTls: [['smtpEncryption = tls', 'smtpEncryption = ']],
  },
  {
    name: 'Python smtplib',
    page: 'python-smtplib',
    peers: ['python3'],
    sends: 'composed',
    mechanisms: both,
    sendsToOthers: true,
    withoutTls: [['    smtp.starttls(context=context)\n', '']],
    habit: 'escapes From',
  },
  {
    name: 'aiosmtplib',
    page: 'python-aiosmtplib',
    peers: ['python3', 'aiosmtplib'],
    sends: 'composed',
    mechanisms: ['PLAIN'],
    sendsToOthers: true,
    withoutTls: [['start_tls=True', 'start_tls=False']],
  },
  {
    name: 'Net::SMTP',
    page: 'perl-net-smtp',
    peers: ['Net::SMTP AUTH', 'swaks TLS sockets'],
    sends: 'file',
    mechanisms: both,
    withoutTls: [['$smtp->starttls(', 'my %unused = (']],
  },
  {
    name: 'PHPMailer',
    page: 'phpmailer',
    peers: ['php', 'PHPMailer'],
    sends: 'composed',
    mechanisms: both,
    sendsToOthers: true,
    withoutTls: [["SMTPSecure = 'tls'", 'SMTPAutoTLS = false']],
    ownWords: {
      'wrong-secret': /Could not authenticate/,
      stranger: /certificate verify failed|Could not connect to SMTP host/,
      'other-name': /did not match expected|Could not connect to SMTP host/,
    },
  },
  {
    name: 'Symfony Mailer',
    page: 'symfony-mailer',
    peers: ['php', 'Symfony Mailer'],
    sends: 'composed',
    mechanisms: ['LOGIN'],
    // It has no switch for it: STARTTLS is taken wherever it is offered.
    withoutTls: [],
  },
  {
    name: 'Jakarta Mail',
    page: 'jakarta-mail',
    peers: ['javac', 'Jakarta Mail'],
    sends: 'composed',
    mechanisms: both,
    withoutTls: [
      ['starttls.enable", "true"', 'starttls.enable", "false"'],
      ['starttls.required", "true"', 'starttls.required", "false"'],
    ],
    send: jakartaMail,
  },
  {
    name: 'Ruby mail',
    page: 'ruby-mail',
    peers: ['ruby-mail'],
    sends: 'composed',
    mechanisms: both,
    // The same: what it does not do itself, Net::SMTP below it does.
    withoutTls: [],
  },
  {
    name: 'Nodemailer',
    page: 'nodemailer',
    peers: [],
    sends: 'composed',
    mechanisms: both,
    sendsToOthers: true,
    withoutTls: [['requireTLS: true', 'ignoreTLS: true']],
    send: sendByNodemailer,
  },
  {
    name: 'Exim',
    page: 'exim',
    peers: ['exim'],
    sends: 'file',
    mechanisms: both,
    sendsToOthers: true,
    withoutTls: [['hosts_require_tls = *', 'hosts_avoid_tls = *']],
    send: sendByExim,
  },
]

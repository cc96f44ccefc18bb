/**
 * Debian's sendmail (8.17.1.9) as a receiver, chrooted into a private root. What it accepts it hands on to a
 * recorder. Its configuration is made by its own m4 macros, with sendmail's defaults for what it does to mail;
 * only what would need DNS, other hosts or a quiet machine is set otherwise. Needs root and m4.
 */
import { chmod, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startMilter } from './milter.ts'
import { cloneRoot, peersDirectory, writeInRoot } from './private-root.ts'
import { isListening, Program, runOrThrow } from './process.ts'
import { makeReceiver, type PolicyOptions, type Receiver, type ReceiverOptions } from './receiver.ts'
import { Recorder } from './recorder.ts'

const users = [
  { name: 'smmta', id: 64_104 },
  { name: 'smmsp', id: 64_105 },
]

export interface SendmailReceiverOptions extends ReceiverOptions, PolicyOptions {
  /** Lines for sendmail.mc, before the mailers. */
  readonly extraMc?: string
}

/** Start a sendmail that accepts mail for every recipient. */
export async function startSendmailReceiver(options: SendmailReceiverOptions): Promise<Receiver> {
  await using owned = new AsyncDisposableStack()
  const recorder = owned.use(await Recorder.start())
  const root = owned.use(await cloneRoot('sendmail', users))
  // The traffic log is written by root before and after each change of user.
  await mkdir(join(root.path, 'var/spool/mqueue'), { recursive: true, mode: 0o700 })
  for (const folder of ['', 'etc', 'etc/mail', 'var', 'var/spool', 'var/log', 'var/run'])
    await chmod(join(root.path, folder), 0o755)
  if (options.tls !== undefined) {
    await writeInRoot(root, 'etc/mail/tls.pem', await readFile(options.tls.certificate))
    await writeInRoot(root, 'etc/mail/tls.key', await readFile(options.tls.key), 0o600)
  }
  const macros = join(peersDirectory(), 'sendmail/root/usr/share/sendmail/cf/')
  const milter = options.rcptPolicy && owned.use(await startMilter(options.rcptPolicy))
  const source = configuration(options, recorder.port, milter?.port)
  const made = await runOrThrow('m4', [`-D_CF_DIR_=${macros}`, `${macros}m4/cf.m4`, '-'], { input: source })
  await writeInRoot(root, 'etc/mail/sendmail.cf', made)
  await writeInRoot(root, 'etc/mail/service.switch', 'hosts\tfiles\naliases\tfiles\n')
  const hostname = options.hostname ?? 'sendmail.peers.test'
  await writeInRoot(root, 'etc/hosts', `127.0.0.1 localhost\n${options.listenAddress} ${hostname}\n`)
  const program = owned.use(
    new Program({
      name: 'sendmail',
      command: 'chroot',
      args: [root.path, '/usr/libexec/sendmail/sendmail', '-bD', '-q2s', '-X', '/var/log/traffic'],
    }),
  )
  await program.until('a listener', () => isListening(options.listenAddress, options.port))
  const traffic = () => readFile(join(root.path, 'var/log/traffic'), 'latin1').catch(() => '')
  const log = async () => `${await traffic()}${program.output}`
  return makeReceiver({ name: 'sendmail', options, recorder, pid: program.pid, log, owned: owned.move() })
}

function configuration(
  options: SendmailReceiverOptions,
  recorderPort: number,
  milterPort: number | undefined,
): string {
  const defines: readonly (readonly [name: string, value: string])[] = [
    ['confDOMAIN_NAME', options.hostname ?? 'sendmail.peers.test'],
    ['confSERVICE_SWITCH_FILE', '/etc/mail/service.switch'],
    ['confPID_FILE', '/var/run/sendmail.pid'],
    ['STATUS_FILE', ''],
    ['confTO_IDENT', '0s'],
    // A busy test machine is no reason to queue or to refuse.
    ['confQUEUE_LA', '1000'],
    ['confREFUSE_LA', '1000'],
    ['confDELAY_LA', '1000'],
    ['confMIN_QUEUE_AGE', '0'],
    ['confMAX_HEADERS_LENGTH', '262144'],
    // Content goes on to the recorder alone, over lines longer than the 990 bytes of the ordinary mailer.
    ['SMART_HOST', 'relay:[127.0.0.1]'],
    ['RELAY_MAILER_ARGS', `TCP $h ${recorderPort}`],
    ...(options.tls === undefined
      ? []
      : ([
          // Without an authority of its own, though it asks no client for a certificate, it offers no TLS.
          ['confCACERT_PATH', '/etc/mail/tls'],
          ['confCACERT', '/etc/mail/tls.pem'],
          ['confSERVER_CERT', '/etc/mail/tls.pem'],
          ['confSERVER_KEY', '/etc/mail/tls.key'],
          ['confTLS_SRV_OPTIONS', 'V'],
        ] as const)),
  ]
  return [
    "OSTYPE(`linux')",
    ...defines.map(([name, value]) => `define(\`${name}', \`${value}')`),
    "FEATURE(`no_default_msa')",
    "FEATURE(`nocanonify')",
    "FEATURE(`promiscuous_relay')",
    "FEATURE(`accept_unresolvable_domains')",
    `DAEMON_OPTIONS(\`Family=inet, Name=MTA, Addr=${options.listenAddress}, Port=${options.port}')`,
    // Without its milter it takes nothing.
    milterPort === undefined ? '' : `INPUT_MAIL_FILTER(\`policy', \`S=inet:${milterPort}@127.0.0.1, F=T')`,
    options.extraMc ?? '',
    "MAILER(`smtp')",
    '',
  ].join('\n')
}

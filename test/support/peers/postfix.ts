/**
 * Debian's Postfix as a receiver, from its own configuration, queue and data folders; the system's Postfix
 * is neither configured nor started. What it accepts it hands on to a recorder, which reads it back.
 *
 * `postfixMainCf` and `layOutPostfixQueue` are shared with the bench, which runs Postfix as a relay.
 */
import { chmod, chown, mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isListening, Program, runOrThrow } from './process.ts'
import { makeReceiver, type Receiver, type ReceiverOptions } from './receiver.ts'
import { Recorder } from './recorder.ts'
import { Scratch } from './scratch.ts'

export interface PostfixReceiverOptions extends ReceiverOptions {
  /** Lines added at the end of main.cf, where the last one wins. */
  readonly extraMainCf?: string
}

/** Where the programs of Debian's package are. */
export const postfixDaemonDirectory = '/usr/lib/postfix/sbin'

const services: ReadonlyArray<readonly [name: string, type: string, processLimit: string, command: string]> =
  [
    ['pickup', 'unix', '1', 'pickup'],
    ['cleanup', 'unix', '0', 'cleanup'],
    ['qmgr', 'unix', '1', 'qmgr'],
    ['tlsmgr', 'unix', '1', 'tlsmgr'],
    ['tlsproxy', 'unix', '0', 'tlsproxy'],
    ['rewrite', 'unix', '-', 'trivial-rewrite'],
    ['bounce', 'unix', '0', 'bounce'],
    ['defer', 'unix', '0', 'bounce'],
    ['trace', 'unix', '0', 'bounce'],
    ['verify', 'unix', '1', 'verify'],
    ['flush', 'unix', '0', 'flush'],
    ['proxymap', 'unix', '-', 'proxymap'],
    ['smtp', 'unix', '-', 'smtp'],
    ['relay', 'unix', '-', 'smtp'],
    ['showq', 'unix', '-', 'showq'],
    ['error', 'unix', '-', 'error'],
    ['retry', 'unix', '-', 'error'],
    ['discard', 'unix', '-', 'discard'],
    ['anvil', 'unix', '1', 'anvil'],
    ['scache', 'unix', '1', 'scache'],
    ['postlog', 'unix-dgram', '1', 'postlogd'],
  ]

/** Services whose socket master puts into `public/`, where clients look for it. */
const publicServices: ReadonlySet<string> = new Set([
  'pickup',
  'cleanup',
  'qmgr',
  'flush',
  'showq',
  'postlog',
])

/** master.cf with an smtpd on `listen` (`address:port`) and the services a relay needs, nothing chrooted. */
export function postfixMasterCf(listen: string): string {
  const lines = [`${listen} inet n - n - - smtpd`]
  for (const [name, type, limit, command] of services)
    lines.push(`${name} ${type} ${publicServices.has(name) ? 'n' : 'y'} - n - ${limit} ${command}`)
  return `${lines.join('\n')}\n`
}

/** The folders of a Postfix queue with the owners its daemons insist on. */
export async function layOutPostfixQueue(queueDirectory: string): Promise<void> {
  const uid = Number(await runOrThrow('id', ['-u', 'postfix']))
  const groups = await readFile('/etc/group', 'utf8')
  const postdropGid = Number(/^postdrop:[^:]*:(\d+)/m.exec(groups)?.[1] ?? Number.NaN)
  if (Number.isNaN(postdropGid)) throw new Error('there is no group postdrop: install postfix first')
  await mkdir(queueDirectory, { recursive: true, mode: 0o755 })
  const owned = 'active bounce corrupt defer deferred flush hold incoming private saved trace'.split(' ')
  for (const name of owned) {
    await mkdir(join(queueDirectory, name), { mode: 0o700 })
    await chown(join(queueDirectory, name), uid, 0)
  }
  await mkdir(join(queueDirectory, 'pid'), { mode: 0o755 })
  for (const [name, mode] of [
    ['public', 0o2710],
    ['maildrop', 0o1730],
  ] as const) {
    await mkdir(join(queueDirectory, name))
    await chown(join(queueDirectory, name), uid, postdropGid)
    await chmod(join(queueDirectory, name), mode)
  }
}

/** Write configuration and queue under `directory`, start master in the foreground, wait for `address:port`. */
export async function startPostfix(options: {
  readonly directory: string
  readonly address: string
  readonly port: number
  readonly mainCf: readonly string[]
}): Promise<Program> {
  const { directory, address, port } = options
  const [configuration, queue, data] = ['etc', 'queue', 'data'].map(name => join(directory, name)) as [
    string,
    string,
    string,
  ]
  await mkdir(configuration, { recursive: true })
  await layOutPostfixQueue(queue)
  await mkdir(data)
  await chown(data, Number(await runOrThrow('id', ['-u', 'postfix'])), 0)
  const own = [
    'compatibility_level = 3.6',
    `queue_directory = ${queue}`,
    `data_directory = ${data}`,
    'command_directory = /usr/sbin',
    `daemon_directory = ${postfixDaemonDirectory}`,
    'mail_owner = postfix',
    'setgid_group = postdrop',
  ]
  await writeFile(join(configuration, 'main.cf'), `${[...own, ...options.mainCf].join('\n')}\n`)
  const listen = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  await writeFile(join(configuration, 'master.cf'), postfixMasterCf(listen))
  // Postfix does not trust a main.cf written in the last two seconds and would wait.
  const minuteAgo = new Date(Date.now() - 60_000)
  await utimes(join(configuration, 'main.cf'), minuteAgo, minuteAgo)
  const program = new Program({
    name: 'postfix',
    command: join(postfixDaemonDirectory, 'master'),
    args: ['-c', configuration, '-d'],
    env: { MAIL_CONFIG: configuration },
  })
  await program.until(`a listener on ${listen}`, () => isListening(address, port))
  return program
}

/** Start a Postfix that accepts mail for every recipient. Needs root and the postfix package. */
export async function startPostfixReceiver(options: PostfixReceiverOptions): Promise<Receiver> {
  await using owned = new AsyncDisposableStack()
  const recorder = owned.use(await Recorder.start())
  const directory = options.directory ?? owned.use(await Scratch.create('postfix')).path
  const logFile = join(directory, 'maillog')
  const tls = options.tls
  const program = owned.use(
    await startPostfix({
      directory,
      address: options.listenAddress,
      port: options.port,
      mainCf: [
        `maillog_file = ${logFile}`,
        `maillog_file_prefixes = ${directory}`,
        `myhostname = ${options.hostname ?? 'postfix.peers.test'}`,
        'mydestination =',
        'smtpd_peername_lookup = no',
        'in_flow_delay = 0',
        'mynetworks = 0.0.0.0/0 [::]/0',
        'alias_maps =',
        'inet_protocols = all',
        'smtpd_relay_restrictions = permit_mynetworks, reject',
        'smtpd_client_connection_count_limit = 0',
        `relayhost = [127.0.0.1]:${recorder.port}`,
        'smtp_dns_support_level = disabled',
        'smtp_tls_security_level = none',
        // Everything that would change the bytes on their way to the recorder is switched off.
        'local_header_rewrite_clients =',
        'message_drop_headers =',
        'disable_mime_output_conversion = yes',
        'smtp_line_length_limit = 0',
        'message_size_limit = 0',
        ...(tls === undefined
          ? []
          : [
              'smtpd_tls_security_level = may',
              `smtpd_tls_cert_file = ${tls.certificate}`,
              `smtpd_tls_key_file = ${tls.key}`,
            ]),
        ...(options.extraMainCf ?? '').split('\n'),
      ],
    }),
  )
  const log = () => readFile(logFile, 'utf8').catch(() => program.output)
  return makeReceiver({ name: 'postfix', options, recorder, pid: program.pid, log, owned: owned.move() })
}

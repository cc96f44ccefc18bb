/**
 * Debian's Exim (4.96, exim4-daemon-light) as a receiver, chrooted into a private root. What it accepts it
 * hands on to a recorder. Needs root.
 */
import { chown, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cloneRoot, writeInRoot } from './private-root.ts'
import { isListening, Program, runOrThrow } from './process.ts'
import { makeReceiver, type Receiver, type ReceiverOptions } from './receiver.ts'
import { Recorder } from './recorder.ts'

const eximUser = { name: 'Debian-exim', id: 64_101 }

export interface EximReceiverOptions extends ReceiverOptions {
  /** Lines for the main section. */
  readonly extraMain?: string
  /** What is asked about each recipient before it is taken: statements of an ACL. */
  readonly rcptAcl?: string
}

/** Start an Exim that accepts mail for every recipient. */
export async function startEximReceiver(options: EximReceiverOptions): Promise<Receiver> {
  await using owned = new AsyncDisposableStack()
  const recorder = owned.use(await Recorder.start())
  const root = owned.use(await cloneRoot('exim', [eximUser]))
  for (const folder of ['var/spool/exim4', 'var/log/exim4']) {
    await mkdir(join(root.path, folder), { recursive: true })
    await chown(join(root.path, folder), eximUser.id, eximUser.id)
  }
  if (options.tls !== undefined) {
    await writeInRoot(root, 'etc/exim4/tls.pem', await readFile(options.tls.certificate))
    await writeInRoot(root, 'etc/exim4/tls.key', await readFile(options.tls.key), 0o640)
    await chown(join(root.path, 'etc/exim4/tls.key'), 0, eximUser.id)
  }
  await writeInRoot(root, 'etc/exim4/exim4.conf', configuration(options, recorder.port))
  const check = ['/usr/sbin/exim4', '-bV']
  await runOrThrow('chroot', [root.path, ...check])
  const program = owned.use(
    new Program({
      name: 'exim',
      command: 'chroot',
      args: [root.path, '/usr/sbin/exim4', '-bdf', '-q5s'],
    }),
  )
  await program.until('a listener', () => isListening(options.listenAddress, options.port))
  const log = async () => {
    const read = (name: string) =>
      readFile(join(root.path, `var/log/exim4/${name}log`), 'utf8').catch(() => '')
    return `${await read('main')}${await read('panic')}${program.output}`
  }
  return makeReceiver({ name: 'exim', options, recorder, pid: program.pid, log, owned: owned.move() })
}

function configuration(options: EximReceiverOptions, recorderPort: number): string {
  const tls = options.tls
  return `
primary_hostname = ${options.hostname ?? 'exim.peers.test'}
local_interfaces = <; ${options.listenAddress}
daemon_smtp_ports = ${options.port}
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
${tls === undefined ? 'tls_advertise_hosts =' : 'tls_advertise_hosts = *\ntls_certificate = /etc/exim4/tls.pem\ntls_privatekey = /etc/exim4/tls.key'}
acl_smtp_rcpt = take_rcpt
acl_smtp_data = take_all
${options.extraMain ?? ''}

begin acl
take_rcpt:
${options.rcptAcl ?? ''}
  accept
take_all:
  accept

begin routers
to_recorder:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = to_recorder
  self = send

begin transports
to_recorder:
  driver = smtp
  port = ${recorderPort}
  allow_localhost
  hosts_avoid_tls = *
  hosts_try_chunking =
  message_linelength_limit = 1000000

begin retry
* * F,1h,1s
`
}

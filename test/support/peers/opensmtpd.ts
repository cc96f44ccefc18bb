/**
 * Debian's OpenSMTPD (6.8) as a receiver, chrooted into a private root. What it accepts it hands on to a
 * recorder. Needs root. IPv4 only.
 *
 * As Debian ships it, it fails every handshake: of a key OpenSSL 3 gives it a copy, and what it notes there is
 * lost (OpenSMTPD issues 1171 and 1239). Where an engine is registered for keys, OpenSSL reads them the old way,
 * without copies, and handshakes work; which engine does not matter, it is never asked for anything. Without it
 * (`isTlsBroken`) it is a real example of a server whose TLS is broken.
 */
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { filterProgram, startOpenSmtpdFilter } from './opensmtpd-filter.ts'
import { cloneRoot, writeInRoot } from './private-root.ts'
import { isListening, Program } from './process.ts'
import { makeReceiver, type PolicyOptions, type Receiver, type ReceiverOptions } from './receiver.ts'
import { Recorder } from './recorder.ts'

const users = [
  { name: 'opensmtpd', id: 64_102 },
  { name: 'opensmtpq', id: 64_103 },
]

const filterPath = 'usr/libexec/opensmtpd/filter-policy'

export interface OpenSmtpdReceiverOptions extends ReceiverOptions, PolicyOptions {
  /** What it announces with SIZE. Default 100 MiB. */
  readonly sizeBytes?: number
  /** With `tls`: takes no mail in clear text. */
  readonly isTlsOnly?: true
  /** With `tls`: fails every handshake, as it does where Debian installs it. */
  readonly isTlsBroken?: true
}

/** Start an OpenSMTPD that accepts mail for every recipient. */
export async function startOpenSmtpdReceiver(options: OpenSmtpdReceiverOptions): Promise<Receiver> {
  await using owned = new AsyncDisposableStack()
  const recorder = owned.use(await Recorder.start())
  const root = owned.use(await cloneRoot('opensmtpd', users))
  await mkdir(join(root.path, 'var/lib/opensmtpd/empty'), { recursive: true, mode: 0o755 })
  const hostname = options.hostname ?? 'opensmtpd.peers.test'
  if (options.tls !== undefined) {
    await writeInRoot(root, 'etc/ssl/peer.pem', await readFile(options.tls.certificate))
    await writeInRoot(root, 'etc/ssl/peer.key', await readFile(options.tls.key), 0o600)
    if (options.isTlsBroken !== true)
      await writeInRoot(root, 'usr/lib/ssl/openssl.cnf', await withEngine(root.path))
  }
  if (options.rcptPolicy !== undefined) {
    const filter = owned.use(await startOpenSmtpdFilter(options.rcptPolicy))
    await writeInRoot(root, filterPath, filterProgram(filter.port), 0o755)
    // What runs filters; its root has no other shell.
    await symlink('bash', join(root.path, 'bin/sh'))
  }
  await writeInRoot(root, 'etc/mailname', `${hostname}\n`)
  await writeInRoot(root, 'etc/smtpd.conf', configuration(options, hostname, recorder.port), 0o600)
  const program = owned.use(
    new Program({
      name: 'opensmtpd',
      command: 'chroot',
      args: [root.path, '/usr/sbin/smtpd', '-d', '-f', '/etc/smtpd.conf'],
    }),
  )
  await program.until('a listener', () => isListening(options.listenAddress, options.port))
  const log = async () => program.output
  return makeReceiver({ name: 'opensmtpd', options, recorder, pid: program.pid, log, owned: owned.move() })
}

/** OpenSSL's configuration that registers the engine for keys. */
async function withEngine(root: string): Promise<string> {
  const machine = (await readdir(join(root, 'usr/lib'))).find(name => name.endsWith('-linux-gnu'))
  return [
    'openssl_conf = all',
    '[all]',
    'engines = engines',
    '[engines]',
    'pkcs11 = keys',
    '[keys]',
    'engine_id = pkcs11',
    `dynamic_path = /usr/lib/${machine}/engines-3/pkcs11.so`,
    'default_algorithms = PKEY_CRYPTO',
    '',
  ].join('\n')
}

function configuration(options: OpenSmtpdReceiverOptions, hostname: string, recorderPort: number): string {
  const tls = options.isTlsOnly === true ? 'tls-require' : 'tls'
  const pki =
    options.tls === undefined ? '' : 'pki peer cert "/etc/ssl/peer.pem"\npki peer key "/etc/ssl/peer.key"\n'
  const [filter, filtered] =
    options.rcptPolicy === undefined
      ? ['', '']
      : [`filter policy proc-exec "/${filterPath}"\n`, ' filter policy']
  return `${pki}${filter}smtp max-message-size ${options.sizeBytes ?? 100 * 1024 * 1024}
listen on ${options.listenAddress} port ${options.port}${pki === '' ? '' : ` ${tls} pki peer`} hostname "${hostname}"${filtered}
action "record" relay host smtp://127.0.0.1:${recorderPort}
match from any for any action "record"
`
}

/**
 * Debian's chasquid (1.11) as a receiver. It runs from its unpacked package: a single program that needs nothing beside it
 * but a certificate. What it accepts it pipes into one file a recipient, with bare LF, which are read back with CRLF.
 * Needs root, for name servers of its own: it asks DNS about every sender, and is told at once that nobody answers.
 */
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { makeCertificate, makeCertificateAuthority } from './certificate.ts'
import { isUnpacked, peersDirectory } from './private-root.ts'
import { isListening, Program } from './process.ts'
import type { Receiver, ReceiverOptions } from './receiver.ts'
import type { ReceivedMail } from './recorder.ts'
import { Scratch } from './scratch.ts'

export interface ChasquidReceiverOptions extends ReceiverOptions {
  /** It takes mail for domains that it knows only. */
  readonly domain: string
}

/** Start a chasquid that accepts mail for every recipient of its domain. */
export async function startChasquidReceiver(options: ChasquidReceiverOptions): Promise<Receiver> {
  if (!(await isUnpacked('chasquid')))
    throw new Error('chasquid is not unpacked: run npm test (or installPeers) as root first')
  await using owned = new AsyncDisposableStack()
  const { path } = owned.use(await Scratch.create('chasquid'))
  await configure(path, options)
  const binary = join(peersDirectory(), 'chasquid/root/usr/bin/chasquid')
  const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
  const args = ['--mount', 'sh', '-c', script, join(path, 'resolv.conf'), binary, `-config_dir=${path}`]
  const program = owned.use(new Program({ name: 'chasquid', command: 'unshare', args }))
  await program.until('a listener', () => isListening(options.listenAddress, options.port))
  const received = () => readMails(join(path, 'mails'))
  const stack = owned.move()
  return {
    name: 'chasquid',
    address: options.listenAddress,
    port: options.port,
    pid: program.pid,
    received,
    waitFor: async (count, timeoutMs = 60_000) => {
      const endMs = performance.now() + timeoutMs
      for (;;) {
        const mails = await received()
        if (mails.length >= count) return mails
        if (performance.now() > endMs)
          throw new Error(`chasquid: ${mails.length} of ${count} mails came:\n${program.output.slice(-4000)}`)
        await delay(50)
      }
    },
    log: () => readFile(join(path, 'mail.log'), 'utf8'),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function configure(path: string, options: ChasquidReceiverOptions): Promise<void> {
  const hostname = options.hostname ?? 'chasquid.peers.test'
  const folders = ['mails', 'data', 'hooks', `certs/${hostname}`, `domains/${options.domain}`]
  for (const folder of folders) await mkdir(join(path, folder), { recursive: true })
  const certificate = options.tls ?? (await ownCertificate(path, hostname))
  await copyFile(certificate.certificate, join(path, 'certs', hostname, 'fullchain.pem'))
  await copyFile(certificate.key, join(path, 'certs', hostname, 'privkey.pem'))
  await writeFile(join(path, 'resolv.conf'), 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
  // Whole files only: they get their names when they are complete.
  const keep = `#!/bin/sh\ncat >"${path}/mails/.$$" && mv "${path}/mails/.$$" "${path}/mails/$1.$$"\n`
  await writeFile(join(path, 'keep'), keep, { mode: 0o755 })
  const everybody = `#!/bin/sh\necho "| ${path}/keep $1"\n`
  await writeFile(join(path, 'hooks/alias-resolve'), everybody, { mode: 0o755 })
  await writeFile(
    join(path, 'chasquid.conf'),
    [
      `hostname: "${hostname}"`,
      `smtp_address: "${options.listenAddress}:${options.port}"`,
      'monitoring_address: ""',
      `data_dir: "${path}/data"`,
      'mail_delivery_agent_bin: "/bin/false"',
      `mail_log_path: "${path}/mail.log"`,
      'max_data_size_mb: 100',
      '',
    ].join('\n'),
  )
}

async function ownCertificate(directory: string, hostname: string) {
  const ca = await makeCertificateAuthority({ directory })
  return await makeCertificate({ directory, names: [hostname], ca })
}

async function readMails(folder: string): Promise<readonly ReceivedMail[]> {
  const names = (await readdir(folder)).filter(name => !name.startsWith('.'))
  return await Promise.all(
    names.map(async name => {
      const whole = Buffer.from(
        (await readFile(join(folder, name))).toString('latin1').replace(/\r?\n/g, '\r\n'),
        'latin1',
      )
      const end = traceEnd(whole)
      return {
        envelopeFrom: /envelope from "([^"]*)"/.exec(whole.toString('latin1', 0, end))?.[1] ?? '',
        mailParameters: '',
        rcptTo: [name.slice(0, name.lastIndexOf('.'))],
        rcptParameters: [''],
        bytes: whole.subarray(end),
        trace: whole.subarray(0, end),
      }
    }),
  )
}

/** Where the two fields end that it puts in front. */
function traceEnd(content: Buffer): number {
  return (
    /^Received-SPF:.*\r\n(?:[\t ].*\r\n)*Received:.*\r\n(?:[\t ].*\r\n)*/.exec(
      content.toString('latin1'),
    )?.[0].length ?? 0
  )
}

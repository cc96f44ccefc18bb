// Exim as a client that hands everything to Postrider, set up as docs/start/send-from/exim.md says.

import { chown, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../support/peers/index.ts'
import { cloneRoot, writeInRoot } from '../../support/peers/private-root.ts'
import type { Job, Sent } from './client-programs.ts'

const user = { name: 'Debian-exim', id: 64_101 }

/** Hands message.eml to an Exim that delivers before it ends; what it says is its main log. */
export async function sendByExim(job: Job): Promise<Sent> {
  const { folder, page, authority, from, to } = job
  await using root = await cloneRoot('exim', [user])
  for (const name of ['var/spool/exim4', 'var/log/exim4']) {
    await mkdir(join(root.path, name), { recursive: true })
    await chown(join(root.path, name), user.id, user.id)
  }
  await writeInRoot(root, authority, await readFile(authority))
  await writeInRoot(root, 'etc/services', 'smtp 25/tcp\nsmtps 465/tcp\n')
  await writeInRoot(root, 'etc/exim4/exim4.conf', configuration(page.files))
  const input = await readFile(join(folder, 'message.eml'))
  const args = [root.path, '/usr/sbin/exim4', '-odf', '-oi', '-f', from, ...to]
  const { stderr } = await run('chroot', args, { input, timeoutMs: 60_000 })
  const log = await readFile(join(root.path, 'var/log/exim4/mainlog'), 'utf8').catch(() => '')
  const isTaken = to.every(one => new RegExp(`[=-]> ${one.replaceAll('.', '\\.')} `).test(log))
  return { isTaken, said: `${stderr}\n${log}` }
}

/** The page's sections in an Exim that has nothing else; it may send to this machine, where the test's server is. */
function configuration(files: ReadonlyMap<string, string>): string {
  return `
primary_hostname = client.example.com
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
log_selector = +smtp_confirmation +pipelining +tls_certificate_verified
keep_environment =
message_size_limit = 0
disable_ipv6
domainlist local_domains =

begin routers
${(files.get('routers') ?? '').replace(/(route_list = .*)/, '$1 byname')}
  self = send

begin transports
${files.get('transports') ?? ''}
  allow_localhost

begin authenticators
${files.get('authenticators') ?? ''}

begin retry
* * F,1h,1m
`
}

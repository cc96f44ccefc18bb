/**
 * Mail servers that cannot be installed beside Postfix live in private roots: a folder with the unpacked
 * package and the closure of its libraries (libc included), into which the program is chrooted. Nothing of
 * the host is touched: not its MTA, its users, its /var or its /etc.
 *
 * Each start gets a root of its own, hard-linked from the unpacked one, so that several may run at once.
 */
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { run, runOrThrow } from './process.ts'
import { Scratch } from './scratch.ts'

/** Debian packages that are unpacked instead of installed, by the name of their peer; libraries follow by themselves. */
export const privatePackages = {
  chasquid: ['chasquid'],
  exim: ['exim4-daemon-light'],
  // The engine makes its TLS work (see its launcher), and its filters run in a shell.
  opensmtpd: ['opensmtpd', 'libengine-pkcs11-openssl', 'bash'],
  sendmail: ['sendmail-bin', 'sendmail-base', 'sendmail-cf'],
} as const

/** What of /usr/share is needed at run time; the rest (documentation) is thrown away. */
const keptShares: readonly string[] = ['sendmail']

export type PrivatePeer = keyof typeof privatePackages

/** The folder of all private roots: `POSTRIDER_PEERS_DIR`, by default `test/.peers` in the checkout. */
export function peersDirectory(): string {
  return resolve(process.env['POSTRIDER_PEERS_DIR'] ?? join(import.meta.dirname, '../../.peers'))
}

/** Is it there with all its packages? */
export async function isUnpacked(peer: PrivatePeer): Promise<boolean> {
  const list = await readFile(join(peersDirectory(), peer, '.complete'), 'utf8').catch(() => '')
  const there = list.split('\n')
  return privatePackages[peer].every(name => there.includes(name))
}

/**
 * Download the peer's package and its libraries and unpack them. Half-done work is thrown away first and the
 * result is put in place by one rename, so an interrupted run leaves nothing that looks finished.
 */
export async function unpackPrivateRoot(peer: PrivatePeer, log: (line: string) => void): Promise<void> {
  const target = join(peersDirectory(), peer)
  const work = `${target}.new`
  await rm(work, { recursive: true, force: true })
  await rm(target, { recursive: true, force: true })
  await mkdir(join(work, 'archives'), { recursive: true })
  const named = privatePackages[peer]
  const packages = await libraryClosure(named)
  log(`downloading ${named.join(', ')} and ${packages.length - named.length} libraries into a private root`)
  const apt = ['download', '-q', '-o', 'APT::Sandbox::User=root', ...packages]
  await runOrThrow('apt-get', apt, { cwd: join(work, 'archives'), timeoutMs: 300_000 })
  const archives = await runOrThrow('sh', ['-c', 'ls archives/*.deb'], { cwd: work })
  for (const archive of archives.trim().split('\n'))
    await runOrThrow('dpkg-deb', ['-x', archive, 'root'], { cwd: work })
  await rm(join(work, 'archives'), { recursive: true })
  const share = join(work, 'root/usr/share')
  for (const name of await readdir(share).catch(() => []))
    if (!keptShares.includes(name)) await rm(join(share, name), { recursive: true })
  await writeFile(join(work, '.complete'), `${packages.join('\n')}\n`)
  await rename(work, target)
}

/** The packages and every library package they need, found breadth first; other dependencies are left out. */
async function libraryClosure(names: readonly string[]): Promise<readonly string[]> {
  const isLibrary = /^(lib[a-z0-9.+-]*|zlib1g)$/
  const isNeedless = /-(modules|modules-bin|runtime|common|perl)$/
  const found = new Set(names)
  for (let front = [...names]; front.length > 0; ) {
    const said = await runOrThrow('apt-cache', ['depends', '--important', ...front])
    const wanted = [
      ...said.matchAll(/^ \|?(?:Pre)?Depends: (\S+)$/gm),
      ...said.matchAll(/^ {2}(?:Pre)?Depends: (\S+)$/gm),
    ]
    const fresh = wanted
      .map(match => match[1] ?? '')
      .filter(one => isLibrary.test(one) && !isNeedless.test(one))
    front = [...new Set(fresh)].filter(one => !found.has(one))
    for (const one of front) found.add(one)
  }
  return [...found]
}

export interface RootUser {
  readonly name: string
  readonly id: number
}

/** A root of its own for one start, with /dev, /tmp and the given users. Dispose it after the program ended. */
export async function cloneRoot(peer: PrivatePeer, users: readonly RootUser[]): Promise<Scratch> {
  if (!(await isUnpacked(peer)))
    throw new Error(
      `${peer} is not unpacked in ${peersDirectory()}: run npm test (or installPeers) as root first`,
    )
  await mkdir(join(peersDirectory(), 'run'), { recursive: true })
  const root = await Scratch.create(peer, join(peersDirectory(), 'run'))
  const from = `${join(peersDirectory(), peer, 'root')}/.`
  const linked = await run('cp', ['-al', from, root.path])
  if (linked.code !== 0) await runOrThrow('cp', ['-a', from, root.path])
  const device = (name: string, major: number, minor: number) =>
    runOrThrow('mknod', ['-m', '666', join(root.path, 'dev', name), 'c', String(major), String(minor)])
  for (const name of ['dev', 'tmp', 'etc', 'var/spool', 'var/run', 'var/log', 'var/lib'])
    await mkdir(join(root.path, name), { recursive: true })
  await chmod(join(root.path, 'tmp'), 0o1777)
  await device('null', 1, 3)
  await device('urandom', 1, 9)
  await device('random', 1, 8)
  const everybody = [{ name: 'root', id: 0 }, ...users, { name: 'nobody', id: 65_534 }]
  await writeInRoot(
    root,
    'etc/passwd',
    everybody.map(user => `${user.name}:x:${user.id}:${user.id}::/nonexistent:/bin/false\n`).join(''),
  )
  await writeInRoot(root, 'etc/group', everybody.map(user => `${user.name}:x:${user.id}:\n`).join(''))
  await writeInRoot(root, 'etc/hosts', '127.0.0.1 localhost\n::1 localhost\n')
  await writeInRoot(root, 'etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\n')
  // No name server: what asks DNS inside a private root gets a refusal from loopback at once.
  await writeInRoot(root, 'etc/resolv.conf', 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
  return root
}

/**
 * Write a file inside a cloned root. The old one is unlinked first: it may be a hard link into the unpacked
 * root, which must not change.
 */
export async function writeInRoot(
  root: Scratch,
  path: string,
  text: string | Buffer,
  mode = 0o644,
): Promise<void> {
  const target = join(root.path, path)
  await mkdir(dirname(target), { recursive: true })
  await rm(target, { force: true })
  await writeFile(target, text, { mode })
  await chmod(target, mode)
}

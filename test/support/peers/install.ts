/**
 * Makes a Debian machine ready for the tests against real programs. Called by the test command.
 *
 * Plan: 1. see what is missing (no network, well under a second when nothing is); 2. elsewhere than on
 * Debian as root, answer what is missing; 3. install with apt, services kept from starting; 4. unpack the
 * mail servers that exclude Postfix into private roots; 5. look again.
 *
 * Invariants: Postfix is the only MTA apt installs (msmtp, not msmtp-mta), it stays unconfigured, and no
 * system service is started, not even by maintainer scripts.
 */
import { access, chmod, constants, readFile, rm, writeFile } from 'node:fs/promises'
import { isUnpacked, type PrivatePeer, privatePackages, unpackPrivateRoot } from './private-root.ts'
import { run, runOrThrow } from './process.ts'

/** One program the tests need: the Debian package that brings it and a file that shows it is there. */
interface Peer {
  readonly name: string
  readonly package: string
  readonly file: string
}

const aptPeers: readonly Peer[] = [
  { name: 'postfix', package: 'postfix', file: '/usr/lib/postfix/sbin/master' },
  { name: 'smtp-source', package: 'postfix', file: '/usr/sbin/smtp-source' },
  { name: 'smtp-sink', package: 'postfix', file: '/usr/sbin/smtp-sink' },
  { name: 'swaks', package: 'swaks', file: '/usr/bin/swaks' },
  { name: 'swaks TLS', package: 'libnet-ssleay-perl', file: '/usr/share/doc/libnet-ssleay-perl' },
  {
    name: 'swaks TLS sockets',
    package: 'libio-socket-ssl-perl',
    file: '/usr/share/doc/libio-socket-ssl-perl',
  },
  { name: 'curl', package: 'curl', file: '/usr/bin/curl' },
  { name: 'msmtp', package: 'msmtp', file: '/usr/bin/msmtp' },
  { name: 'python3', package: 'python3', file: '/usr/bin/python3' },
  { name: 'aiosmtplib', package: 'python3-aiosmtplib', file: '/usr/lib/python3/dist-packages/aiosmtplib' },
  { name: 's-nail', package: 's-nail', file: '/usr/bin/s-nail' },
  { name: 'mutt', package: 'mutt', file: '/usr/bin/mutt' },
  { name: 'git send-email', package: 'git-email', file: '/usr/lib/git-core/git-send-email' },
  { name: 'Net::SMTP AUTH', package: 'libauthen-sasl-perl', file: '/usr/share/perl5/Authen/SASL.pm' },
  { name: 'php', package: 'php-cli', file: '/usr/bin/php' },
  { name: 'PHPMailer', package: 'libphp-phpmailer', file: '/usr/share/php/libphp-phpmailer/autoload.php' },
  {
    name: 'Symfony Mailer',
    package: 'php-symfony-mailer',
    file: '/usr/share/php/Symfony/Component/Mailer/autoload.php',
  },
  { name: 'javac', package: 'default-jdk-headless', file: '/usr/bin/javac' },
  { name: 'Jakarta Mail', package: 'libjakarta-mail-java', file: '/usr/share/java/jakarta-mail.jar' },
  { name: 'ruby-mail', package: 'ruby-mail', file: '/usr/lib/ruby/vendor_ruby/mail.rb' },
  { name: 'Postfix SASL', package: 'libsasl2-modules', file: '/usr/share/doc/libsasl2-modules' },
  // Accounts of the Postfix that the bench compares with under TLS and AUTH.
  { name: 'saslpasswd2', package: 'sasl2-bin', file: '/usr/sbin/saslpasswd2' },
  { name: 'nmap', package: 'nmap', file: '/usr/bin/nmap' },
  { name: 'sslscan', package: 'sslscan', file: '/usr/bin/sslscan' },
  { name: 'haproxy', package: 'haproxy', file: '/usr/sbin/haproxy' },
  { name: 'knot', package: 'knot', file: '/usr/sbin/knotd' },
  { name: 'unbound', package: 'unbound', file: '/usr/sbin/unbound' },
  { name: 'opendkim', package: 'opendkim', file: '/usr/sbin/opendkim' },
  { name: 'opendkim-genkey', package: 'opendkim-tools', file: '/usr/sbin/opendkim-genkey' },
  { name: 'dkimpy', package: 'python3-dkim', file: '/usr/lib/python3/dist-packages/dkim/__init__.py' },
  {
    name: 'dkimpy Ed25519',
    package: 'python3-nacl',
    file: '/usr/lib/python3/dist-packages/nacl/__init__.py',
  },
  { name: 'Mail::DKIM', package: 'libmail-dkim-perl', file: '/usr/share/perl5/Mail/DKIM.pm' },
  {
    name: 'Email::Address::XS',
    package: 'libemail-address-xs-perl',
    file: '/usr/share/doc/libemail-address-xs-perl',
  },
  { name: 'rspamd', package: 'rspamd', file: '/usr/bin/rspamd' },
  { name: 'postgrey', package: 'postgrey', file: '/usr/sbin/postgrey' },
  // Writes sendmail.cf; the sendmail itself is unpacked into a private root.
  { name: 'm4', package: 'm4', file: '/usr/bin/m4' },
  { name: 'openssl', package: 'openssl', file: '/usr/bin/openssl' },
  { name: 'strace', package: 'strace', file: '/usr/bin/strace' },
  { name: 'faketime', package: 'faketime', file: '/usr/share/doc/libfaketime' },
  { name: 'prlimit', package: 'util-linux', file: '/usr/bin/prlimit' },
  { name: 'ip', package: 'iproute2', file: '/usr/bin/ip' },
  { name: 'eatmydata', package: 'eatmydata', file: '/usr/bin/eatmydata' },
]

/** What the tests may count on. `missing` is empty when everything is there. */
export interface PeersReport {
  readonly missing: readonly string[]
  /** Why the missing ones were not installed; empty when nothing is missing. */
  readonly why: string
}

export interface InstallOptions {
  readonly log: (line: string) => void
}

/** The peers that are not on this machine; fast and without side effects. */
export async function missingPeers(): Promise<readonly string[]> {
  const isThere = (file: string) =>
    access(file, constants.F_OK).then(
      () => true,
      () => false,
    )
  const found = await Promise.all(aptPeers.map(peer => isThere(peer.file)))
  const missing = aptPeers.filter((_, index) => found[index] !== true).map(peer => peer.name)
  for (const peer of Object.keys(privatePackages) as PrivatePeer[])
    if (!(await isUnpacked(peer))) missing.push(peer)
  return missing
}

/**
 * Install what is missing. Idempotent. Rejects when apt fails, and with `CI=true` also when something is
 * missing that cannot be installed here; otherwise such a machine gets a report of what is missing.
 */
export async function installPeers(options: InstallOptions): Promise<PeersReport> {
  const missing = await missingPeers()
  if (missing.length === 0) return { missing, why: '' }
  const obstacle = await whyNotInstallable()
  if (obstacle !== undefined) {
    if (process.env['CI'] === 'true')
      throw new Error(`with CI=true every peer is needed, but ${obstacle}; missing: ${missing.join(', ')}`)
    return { missing, why: obstacle }
  }
  options.log(`missing peers: ${missing.join(', ')}`)
  const packages = new Set(aptPeers.filter(peer => missing.includes(peer.name)).map(peer => peer.package))
  options.log('apt-get update')
  await runOrThrow('apt-get', ['-q', 'update'], { timeoutMs: 600_000 })
  if (packages.size > 0) await aptInstall([...packages], options.log)
  for (const peer of Object.keys(privatePackages) as PrivatePeer[])
    if (missing.includes(peer)) await unpackPrivateRoot(peer, options.log)
  const left = await missingPeers()
  if (left.length > 0) throw new Error(`installed, but still not there: ${left.join(', ')}`)
  options.log('all peers are there')
  return { missing: [], why: '' }
}

async function whyNotInstallable(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'this is not root, so nothing can be installed'
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '')
  if (!/^ID=debian$/m.test(release)) return 'this is not Debian, so nothing can be installed'
  return undefined
}

const policyFile = '/usr/sbin/policy-rc.d'

async function aptInstall(packages: readonly string[], log: (line: string) => void): Promise<void> {
  const otherMta = await installedMta()
  if (packages.includes('postfix') && otherMta !== undefined)
    throw new Error(`installing postfix would remove ${otherMta} from this machine: remove it yourself first`)
  log(`apt-get install ${packages.join(' ')}`)
  if (packages.includes('postfix'))
    await runOrThrow('debconf-set-selections', [], {
      input: 'postfix postfix/main_mailer_type select No configuration\n',
    })
  const hadPolicy = await access(policyFile).then(
    () => true,
    () => false,
  )
  // 101 is what invoke-rc.d understands as "not allowed": no service starts while packages are set up.
  if (!hadPolicy) {
    await writeFile(policyFile, '#!/bin/sh\nexit 101\n')
    await chmod(policyFile, 0o755)
  }
  try {
    const args = [
      '-q',
      '-y',
      '--no-install-recommends',
      '-o',
      'DPkg::Lock::Timeout=300',
      'install',
      ...packages,
    ]
    await runOrThrow('apt-get', args, { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 900_000 })
  } finally {
    if (!hadPolicy) await rm(policyFile, { force: true })
  }
}

/** The installed package that provides mail-transport-agent, when there is one and it is not Postfix. */
async function installedMta(): Promise<string | undefined> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the format language of dpkg-query
  const listed = await run('dpkg-query', ['-W', '-f', '${db:Status-Abbrev} ${Package} ${Provides}\\n'])
  const providers = [...listed.stdout.toString().matchAll(/^ii\s+(\S+) .*\bmail-transport-agent\b/gm)]
  return providers.map(match => match[1]).find(name => name !== 'postfix')
}

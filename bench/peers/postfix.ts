/**
 * Debian's Postfix as a relay to the sink, with its queue in the run's folder, and with an OpenDKIM milter
 * (RSA-2048) when mail is to be signed. What is tuned and why stands in bench/README.md.
 */
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, Program, run, runOrThrow, startPostfix } from '../../test/support/peers/index.ts'
import type { Peer, PeerStartOptions } from './peer.ts'
import { securePostfix } from './postfix-secure.ts'

const tuned = [
  'myhostname = bench.test',
  'mydestination =',
  'mynetworks = 127.0.0.0/8',
  'inet_protocols = ipv4',
  'alias_maps =',
  'smtp_dns_support_level = disabled',
  'smtpd_peername_lookup = no',
  'smtpd_client_connection_count_limit = 0',
  'default_process_limit = 200',
  'initial_destination_concurrency = 20',
  'default_destination_concurrency_limit = 20',
  'smtp_connection_cache_on_demand = no',
  'in_flow_delay = 0',
]

const clearText = ['smtp_tls_security_level = none', 'smtpd_relay_restrictions = permit_mynetworks, reject']

export const postfix: Peer = {
  name: 'postfix',
  title: isSigned => (isSigned ? 'Postfix with OpenDKIM' : 'Postfix'),
  signs: ['rsa-sha256'],
  isSecurable: true,
  prepare: async () => (process.getuid?.() === 0 ? undefined : 'Postfix needs root'),
  start: async options => {
    await using owned = new AsyncDisposableStack()
    const milter = options.isSigned ? owned.use(await startOpendkim(options)) : undefined
    const port = await freePort()
    const milterSettings =
      milter === undefined
        ? []
        : [`smtpd_milters = unix:${milter.socket}`, 'milter_default_action = tempfail']
    const secured = options.secure === null ? undefined : await securePostfix(options, options.secure)
    const doors = secured?.settings ?? clearText
    const master = owned.use(
      await startPostfix({
        directory: options.directory,
        address: '127.0.0.1',
        port,
        mainCf: [...tuned, ...doors, `relayhost = [127.0.0.1]:${options.sinkPort}`, ...milterSettings],
      }),
    )
    const running = owned.move()
    return {
      smtpPort: port,
      login: secured?.login ?? null,
      pids: () => [master.pid, ...(milter === undefined ? [] : [milter.pid])],
      stop: () => running.disposeAsync(),
    }
  },
  version: async () => {
    const said = await run('dpkg-query', ['-W', 'postfix', 'opendkim'])
    return said.stdout.toString().trim().replaceAll('\t', ' ').replaceAll('\n', ', ')
  },
}

interface Milter extends AsyncDisposable {
  readonly socket: string
  readonly pid: number
}

async function startOpendkim(options: PeerStartOptions): Promise<Milter> {
  const directory = join(options.directory, 'opendkim')
  await mkdir(directory)
  const [key, socket, configuration] = ['s1.pem', 'milter.sock', 'opendkim.conf'].map(name =>
    join(directory, name),
  ) as [string, string, string]
  await runOrThrow('openssl', [
    'genpkey',
    '-algorithm',
    'RSA',
    '-pkeyopt',
    'rsa_keygen_bits:2048',
    '-out',
    key,
  ])
  const uid = Number(await runOrThrow('id', ['-u', 'postfix']))
  const gid = Number(await runOrThrow('id', ['-g', 'postfix']))
  for (const path of [directory, key]) await chown(path, uid, gid)
  await chmod(key, 0o600)
  await writeFile(
    configuration,
    [
      'Mode s',
      'Domain example.com',
      'Selector s1',
      `KeyFile ${key}`,
      `Socket local:${socket}`,
      'UserID postfix:postfix',
      'Canonicalization relaxed/relaxed',
      'SignatureAlgorithm rsa-sha256',
      'OversignHeaders From',
      'InternalHosts 127.0.0.0/8',
      'Background no',
      'Syslog no',
      // It refuses a key below a folder that others may write to, such as /tmp.
      'RequireSafeKeys no',
      '',
    ].join('\n'),
  )
  const program = new Program({
    name: 'opendkim',
    command: '/usr/sbin/opendkim',
    args: ['-f', '-x', configuration],
  })
  await program.until('its socket', async () => (await run('test', ['-S', socket])).code === 0)
  return { socket, pid: program.pid, [Symbol.asyncDispose]: () => program.stop() }
}

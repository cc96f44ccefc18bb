/**
 * Postrider itself, started as an operator would: a configuration file, `serve`, an account and, when mail is
 * to be signed, a domain with RSA-2048 and Ed25519 keys.
 */
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, Program, runOrThrow } from '../../test/support/peers/index.ts'
import type { Login, Peer, SecureDoor } from './peer.ts'

const root = join(import.meta.dirname, '../..')
const command = join(root, 'src/main.ts')

export const postrider: Peer = {
  name: 'postrider',
  title: isSigned => (isSigned ? 'Postrider, RSA and Ed25519' : 'Postrider'),
  signs: ['rsa-sha256', 'ed25519-sha256'],
  isSecurable: true,
  prepare: async () =>
    await access(command).then(
      () => undefined,
      () => 'src/main.ts does not exist yet',
    ),
  start: async options => {
    const [port, httpPort] = [await freePort(), await freePort()]
    const file = join(options.directory, 'postrider.toml')
    const data = join(options.directory, 'data')
    await mkdir(data)
    await writeFile(
      file,
      [
        'hostname = "bench.test"',
        `data_dir = ${JSON.stringify(data)}`,
        '[[listener]]',
        `address = "127.0.0.1:${port}"`,
        ...(options.secure === null ? openDoor : submissionDoor(options.secure)),
        '[[route]]',
        'recipient_domain = "*"',
        `smarthost = "127.0.0.1:${options.sinkPort}"`,
        ...(options.secure === null ? [] : ['tls = "required"']),
        '[http]',
        `address = "127.0.0.1:${httpPort}"`,
        '[lab]',
        'enabled = false',
        '',
      ].join('\n'),
    )
    const postriderCommand = (...args: string[]): Promise<string> =>
      runOrThrow(process.execPath, [command, ...args, '--config', file, '--json'], { cwd: root })
    const program = new Program({
      name: 'postrider',
      command: process.execPath,
      args: [command, 'serve', '--config', file],
      cwd: root,
    })
    let login: Login | null = null
    try {
      await program.until('GET /readyz to answer 200', () => isReady(httpPort))
      await postriderCommand('account', 'create', 'bench')
      // In secure loads the sender must own its address.
      if (options.isSigned || options.secure !== null)
        await postriderCommand(
          'domain',
          'add',
          '--account',
          'bench',
          'example.com',
          '--trust',
          ...(options.isSigned ? [] : ['--no-dkim']),
        )
      if (options.secure !== null) login = await makeLogin(postriderCommand)
    } catch (error) {
      await program.stop()
      throw error
    }
    return { smtpPort: port, login, pids: () => [program.pid], stop: () => program.stop() }
  },
  version: async () => {
    const commit = (await runOrThrow('git', ['rev-parse', '--short', 'HEAD'], { cwd: root })).trim()
    const changed = (await runOrThrow('git', ['status', '--porcelain', 'src'], { cwd: root })).trim() !== ''
    return `Postrider at ${commit}${changed ? ' with uncommitted changes' : ''}, Node ${process.version}`
  },
}

const openDoor = ['kind = "relay"', 'networks = ["127.0.0.0/8"]', 'account = "bench"', 'senders = "any"']

/** Limits for one address are for strangers; the load is one address. */
function submissionDoor({ certificate, key }: SecureDoor): readonly string[] {
  return [
    'kind = "submission"',
    '[tls]',
    `certificate = ${JSON.stringify(certificate)}`,
    `key = ${JSON.stringify(key)}`,
    '[limits]',
    'connections_per_address = 10000',
    'connection_rate_per_address = 10000000',
  ]
}

async function makeLogin(command: (...args: string[]) => Promise<string>): Promise<Login> {
  const made = JSON.parse(await command('credential', 'create', '--account', 'bench', '--kind', 'smtp'))
  return { username: String(made.username), password: String(made.secret) }
}

async function isReady(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`)
    await answer.arrayBuffer()
    return answer.status === 200
  } catch {
    return false
  }
}

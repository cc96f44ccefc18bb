// Everything that must be right before a thread starts: configuration, data folder, lock, keys, certificate, addresses.
//
// Each thing that is wrong is a problem with a place, a sentence and a next step; nothing has been changed by then but
// the data folder, its owner, its lock, secret.key and the self-signed certificate.

import { randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { availableParallelism, hostname } from 'node:os'
import { loadSecretKey } from '../accounts/index.ts'
import { makeFolderDurably } from '../base/index.ts'
import {
  type Config,
  dnsServersOf,
  type ListenerConfig,
  loadConfig,
  loadTlsMaterial,
  type Problem,
  type SocketAddress,
  type TlsMaterial,
} from '../config/index.ts'
import { DataLock, StoreError } from '../store/index.ts'
import { fitDescriptors } from './descriptors.ts'
import { checkAddresses, describe, settlePort } from './listen-check.ts'
import { operatorKeys } from './operator-keys.ts'
import { findUser, Privileges, type SystemUser } from './privileges.ts'

/** What serve goes on with. */
export interface Prepared {
  readonly config: Config
  /** The same before it was cut to the descriptors that there are. */
  readonly asked: Config
  /** null: the first run, without a file. */
  readonly configPath: string | null
  readonly warnings: readonly Problem[]
  readonly lock: DataLock
  readonly secretKey: Buffer
  readonly tls: TlsMaterial
  readonly operatorKeyPem: string | null
  readonly dnsServers: readonly SocketAddress[]
  /** The data folder is the user's, and so are we but for `asRoot`. */
  readonly rights: Privileges
  readonly threads: number
}

/** Prepares, or says everything that is wrong. */
export async function prepare(configPath: string | undefined): Promise<Prepared | readonly Problem[]> {
  const loaded = readConfig(configPath)
  if (!loaded.ok) return loaded.problems
  const user = loaded.config.user === null ? null : findUser(loaded.config.user)
  if (user !== null && 'what' in user) return [user]
  const { dataDir } = loaded.config
  const lock = takeLock(dataDir)
  if ('what' in lock) return [lock]
  const rights = new Privileges(user)
  // Behind the lock, since the folder of a running server is not handed to anybody.
  const withheld = rights.lower(dataDir)
  const rest = withheld === null ? await prepareFiles(loaded.config, rights) : [withheld]
  if (!('config' in rest)) {
    await rights.asRoot(() => lock[Symbol.dispose]())
    return rest
  }
  const { config, warnings: cut } = fitDescriptors(rest.config)
  const warnings = [
    ...loaded.warnings,
    ...rest.warnings,
    ...openFolderWarning(dataDir),
    ...rootWarning(user),
    ...cut,
  ]
  return {
    ...rest,
    config,
    asked: rest.config,
    configPath: loaded.path,
    warnings,
    lock,
    rights,
    threads: threadsOf(config),
  }
}

/** Reads the configuration for serving; also what SIGHUP calls. */
export function readConfig(configPath: string | undefined): ReturnType<typeof loadConfig> {
  return loadConfig({ path: configPath, cwd: process.cwd(), env: process.env, machineName: hostname() })
}

/** The certificate that the configuration names, or the self-signed one. */
export function readTls(config: Config, nowMs: number): ReturnType<typeof loadTlsMaterial> {
  return loadTlsMaterial({
    tls: config.tls,
    dataDir: config.dataDir,
    hostname: config.hostname,
    nowMs,
    randomBytes,
  })
}

async function prepareFiles(config: Config, rights: Privileges) {
  const secret = loadSecretKey(config.dataDir, randomBytes)
  if (!secret.ok) return [secret.problem]
  // Root reads what only root may read; the self-signed pair is the user's, like all of the data folder.
  const readIt = () => readTls(config, Date.now())
  const tls = config.tls === null ? readIt() : await rights.asRoot(readIt)
  if (!tls.ok) return [tls.problem]
  const operator = await rights.asRoot(() => readOperatorKey(config))
  if ('what' in operator) return [operator]
  const settled = await rights.asRoot(() => settleAddresses(config))
  if (!('listeners' in settled)) return settled
  const addresses = settled.listeners.map(({ address }) => address)
  if (settled.http.address !== null) addresses.push(settled.http.address)
  const problems = await rights.asRoot(() => checkAddresses(addresses))
  if (problems.length > 0) return problems
  return {
    config: settled,
    warnings: tls.warnings,
    secretKey: secret.key,
    tls: tls.material,
    operatorKeyPem: operator.pem,
    dnsServers: dnsServersOf(config),
  }
}

function takeLock(dataDir: string): DataLock | Problem {
  try {
    makeFolderDurably(dataDir)
    return DataLock.take(dataDir)
  } catch (error) {
    if (error instanceof StoreError) return { where: dataDir, what: error.message, hint: error.hint }
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    return {
      where: dataDir,
      what: `the data folder cannot be made or written (${code})`,
      hint: 'make it writable for the user that runs Postrider, or set data_dir',
    }
  }
}

function readOperatorKey(config: Config): { readonly pem: string | null } | Problem {
  if (config.dkim === null) return { pem: null }
  const where = '[dkim] key_file'
  const hint = 'it must hold an RSA (2048 bits) or Ed25519 private key in PEM'
  try {
    const pem = readFileSync(config.dkim.keyPath, 'utf8')
    operatorKeys(config, pem)
    return { pem }
  } catch (error) {
    return { where, what: (error as Error).message, hint }
  }
}

/** Listeners that ask for port 0 get one that all threads can share; problems where an address has none for us. */
async function settleAddresses(config: Config): Promise<Config | readonly Problem[]> {
  const listeners: ListenerConfig[] = []
  const problems: Problem[] = []
  for (const listener of config.listeners) {
    try {
      listeners.push({ ...listener, address: await settlePort(listener.address) })
    } catch (error) {
      problems.push(describe(listener.address, (error as NodeJS.ErrnoException).code ?? String(error)))
    }
  }
  return problems.length > 0 ? problems : { ...config, listeners }
}

function threadsOf(config: Config): number {
  // The store thread and the system's work for the sockets fill the core that is left (decision 0019).
  return config.relayThreads > 0 ? config.relayThreads : Math.max(1, availableParallelism() - 1)
}

/** Files in it are for their owner only; their names and sizes are not, and what an older version made may be open. */
function openFolderWarning(dataDir: string): Problem[] {
  const mode = statSync(dataDir).mode & 0o777
  if ((mode & 0o077) === 0) return []
  return [
    {
      where: 'data_dir',
      what: `others may look into ${dataDir} (mode ${mode.toString(8)})`,
      hint: `chmod 700 ${dataDir}`,
    },
  ]
}

function rootWarning(user: SystemUser | null): Problem[] {
  if (process.getuid?.() !== 0 || (user !== null && user.userId !== 0)) return []
  const hint = 'set `user` in the configuration, or use the systemd unit'
  return [{ where: 'user', what: 'Postrider runs as root', hint }]
}

// The examination: all checks in the order in which a problem of one explains those of the next.
//
// It changes nothing (but a file that it writes and removes to time the disk) and needs no server.

import { connectControl, findSocket } from '../../api/control/index.ts'
import { type Config, formatProblem, loadConfig } from '../../config/index.ts'
import type { Cli } from '../cli.ts'
import { readPackageFacts } from '../package-facts.ts'
import { checkAccounts } from './accounts.ts'
import { checkCertificate } from './certificate.ts'
import { bad, type Check, good, warn } from './check.ts'
import { checkDataFolder } from './data-folder.ts'
import { checkDns, checkPorts } from './network.ts'

/** Runs every check. */
export async function examine(cli: Cli, nowMs: number): Promise<Check[]> {
  const checks: Check[] = [checkNode(process.versions.node)]
  const { cwd, env, machineName } = cli.io
  const loaded = loadConfig({ path: cli.configPath, cwd, env, machineName })
  if (!loaded.ok)
    return [
      ...checks,
      ...loaded.problems.map(problem =>
        bad(
          'configuration',
          formatProblem(problem),
          problem.hint || 'correct it, then run postrider doctor again',
        ),
      ),
    ]
  const { config, path, warnings } = loaded
  checks.push(
    path === null
      ? good('configuration', 'no file: the settings of a first run, on 127.0.0.1 only')
      : good('configuration', `${path} is valid`),
    ...warnings.map(one => warn('configuration', formatProblem(one), one.hint)),
    ...checkHostname(config),
    ...checkDataFolder(config.dataDir, process.getuid?.()),
    ...checkCertificate(config, nowMs),
  )
  const server = await checkServer(config)
  checks.push(...server.checks, ...(await checkPorts(config, server.isServing)), ...(await checkDns(config)))
  return checks
}

/** Compares with the version that package.json asks for. */
export function checkNode(version: string): Check {
  const { nodeMin } = readPackageFacts()
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [majorMin = 0, minorMin = 0] = nodeMin.split('.').map(Number)
  if (major > majorMin || (major === majorMin && minor >= minorMin)) return good('node', `Node ${version}`)
  return bad('node', `Node ${version} is too old`, `Postrider needs Node ${nodeMin} or newer`)
}

/** Of no importance to the lab, and the first thing that receivers on the internet look at. */
function checkHostname({ hostname, lab }: Config): Check[] {
  if (lab.isEnabled) return []
  if (hostname.includes('.')) return [good('hostname', hostname)]
  return [
    warn(
      'hostname',
      `${hostname} is no full name: receivers refuse or distrust such an EHLO, and the SPF record of domain show names it`,
      'set hostname in the configuration, for instance mail.example.com: a name with A and PTR records of its own',
    ),
  ]
}

/** Long for a word of a server that has other things to do, and short for a person who waits. */
const silenceMsMax = 5000

async function checkServer(config: Config): Promise<{ checks: Check[]; isServing: boolean }> {
  const name = 'server'
  const connected = await connectControl(findSocket(config.dataDir), silenceMsMax)
  if (!connected.ok) {
    const { code, message, hint } = connected.error
    const isAbsent = code === 'server-not-running'
    return { checks: [isAbsent ? good(name, 'not running') : bad(name, message, hint)], isServing: !isAbsent }
  }
  using client = connected.client
  const status = await client.call('server.status')
  if (!status.ok) return { checks: [bad(name, status.error.message, status.error.hint)], isServing: true }
  const { version, processId } = status.value as { version: string; processId: number }
  const running = good(name, `running: version ${version}, process ${processId}`)
  return { checks: [running, ...(await checkAccounts(config, client))], isServing: true }
}

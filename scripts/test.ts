// `npm test`: makes the peer programs ready, then runs every test.
//
// As root on Debian what is missing is installed; elsewhere the tests say what they skip, and with CI=true a missing
// program is a failure. Arguments are passed on as file patterns.

import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { installPeers } from '../test/support/peers/index.ts'

const root = join(import.meta.dirname, '..')
/** Two cores run two files at once well; whole-system tests would only get in each other's way with more. */
const concurrency = 2

async function main(): Promise<void> {
  const report = await installPeers({ log: line => console.log(line) })
  if (report.missing.length > 0)
    console.log(`Skipping what needs ${report.missing.join(', ')}: ${report.why}`)
  const given = process.argv.slice(2)
  const patterns = given.length > 0 ? given : ['src/**/*.test.ts', 'test/**/*.test.ts', 'bench/**/*.test.ts']
  const files = patterns.flatMap(pattern => globSync(pattern, { cwd: root })).sort()
  const args = ['--test', `--test-concurrency=${concurrency}`, ...files]
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  process.exitCode = status ?? 1
}

await main()

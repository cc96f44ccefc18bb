// `npm run check`: types, format and lint, the tidy test, and generated pages that are up to date.
//
// All steps run even when one fails, so that one run shows everything; the exit code is 1 when any did.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

interface Step {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
}

const root = join(import.meta.dirname, '..')
const bin = (name: string) => join(root, 'node_modules', '.bin', name)

const steps: readonly Step[] = [
  { name: 'types', command: bin('tsc'), args: ['-p', '.'] },
  { name: 'format and lint', command: bin('biome'), args: ['check', '--diagnostic-level=warn', '.'] },
  { name: 'tidy', command: process.execPath, args: ['--test', '--test-reporter=dot', 'test/tidy.test.ts'] },
  { name: 'reference pages', command: process.execPath, args: ['scripts/reference.ts', '--check'] },
]

function main(): void {
  const failed: string[] = []
  for (const { name, command, args } of steps) {
    console.log(`— ${name}`)
    const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
    if (error) console.error(`${command} cannot be run: ${error.message}; was npm ci run?`)
    if (status !== 0) failed.push(name)
  }
  console.log(failed.length === 0 ? 'check: all good' : `check: failed: ${failed.join(', ')}`)
  process.exitCode = failed.length === 0 ? 0 : 1
}

main()

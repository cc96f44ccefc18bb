// A whole configuration for unit tests of the composition, from TOML, without files of the machine.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, formatProblem, loadConfig } from '../config/index.ts'

/** Loads `toml` as a file of its own; throws with the problems. Its relative paths lead to a folder that is gone. */
export function configOf(toml: string): Config {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-config-'))
  try {
    const path = join(folder, 'postrider.toml')
    writeFileSync(path, toml)
    const loaded = loadConfig({ path, cwd: '/', env: {}, machineName: 'relay.example' })
    if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'))
    return { ...loaded.config, dataDir: '/nowhere/data' }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

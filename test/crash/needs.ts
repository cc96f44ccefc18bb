// What the crash campaigns need of the machine.

import { execFileSync } from 'node:child_process'
import { type NeedsMachine, needsMachine } from '../support/needs-machine.ts'

function hasPrograms(): boolean {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' })
    execFileSync('eatmydata', ['true'], { stdio: 'ignore' })
    return true
  } catch {
    return process.env['CI'] === 'true'
  }
}

/** Options for tests that record a server and take its syncs away. */
export const hasCrashTools: NeedsMachine = needsMachine(hasPrograms(), 'strace or no eatmydata')

// `postrider doctor`: looks at everything that the server needs, and says what to do. Works without a server.

import type { Command } from 'commander'
import type { Cli } from './cli.ts'
import type { Check, CheckState } from './doctor/check.ts'
import { plain, type Tone } from './text.ts'

const tones: Readonly<Record<CheckState, Tone>> = { ok: 'good', warn: 'careful', fail: 'bad' }

/** Adds `doctor`. */
export function doctorCommand(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .description('check configuration, data folder, ports, certificate, DNS and disk')
    .action(async () => {
      const { examine } = await import('./doctor/examine.ts')
      const checks = await examine(cli, Date.now())
      const isHealthy = checks.every(check => check.state !== 'fail')
      await cli.print({ isHealthy, checks }, () => checks.map(check => describe(check, cli)).join(''))
      if (!isHealthy) cli.exitCode = 1
    })
}

function describe({ name, state, text, hint }: Check, cli: Cli): string {
  const label = cli.paint(tones[state], state.padEnd(4))
  const advice = hint === '' ? '' : `      ${cli.paint('quiet', plain(hint))}\n`
  return `${label}  ${plain(`${name}: ${text}`)}\n${advice}`
}

// Checks of the certificate that the listeners show.

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, loadTlsMaterial } from '../../config/index.ts'
import { bad, type Check, good, warn } from './check.ts'

const dayMs = 86_400_000

/** Reads the files of [tls]; never makes the self-signed ones. */
export function checkCertificate(config: Config, nowMs: number): Check[] {
  const { tls, dataDir, hostname } = config
  if (tls === null && !existsSync(join(dataDir, 'tls', 'certificate.pem')))
    return [
      warn(
        'certificate',
        'none is configured; the first start makes a self-signed one',
        'clients that check certificates will refuse it: set [tls] certificate and key',
      ),
    ]
  const loaded = loadTlsMaterial({ tls, dataDir, hostname, nowMs, randomBytes })
  if (!loaded.ok)
    return [bad('certificate', `${loaded.problem.where}: ${loaded.problem.what}`, loaded.problem.hint)]
  const daysLeft = Math.floor((loaded.material.notAfterMs - nowMs) / dayMs)
  const checks = loaded.warnings.map(({ what, hint }) => warn('certificate', what, hint))
  const kind = loaded.material.isSelfSigned ? 'self-signed, ' : ''
  return [...checks, good('certificate', `${kind}for ${hostname}, ${daysLeft} days left`)]
}

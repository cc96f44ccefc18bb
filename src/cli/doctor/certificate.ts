// Checks of the certificate that the listeners show. Nothing is made, also where a start would make a new one.

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, loadTlsMaterial, storedSelfSigned } from '../../config/index.ts'
import { bad, type Check, good, warn } from './check.ts'

const dayMs = 86_400_000
const distrusted = 'clients that check certificates will refuse it: set [tls] certificate and key'

/** Reads the files of [tls], or the self-signed ones. */
export function checkCertificate(config: Config, nowMs: number): Check[] {
  const { tls, dataDir, hostname } = config
  const request = { tls, dataDir, hostname, nowMs, randomBytes }
  const loaded = tls === null ? storedSelfSigned(request) : loadTlsMaterial(request)
  if (loaded === null) return [checkUnmade(join(dataDir, 'tls', 'certificate.pem'), hostname)]
  if (!loaded.ok)
    return [bad('certificate', `${loaded.problem.where}: ${loaded.problem.what}`, loaded.problem.hint)]
  const daysLeft = Math.floor((loaded.material.notAfterMs - nowMs) / dayMs)
  const checks = loaded.warnings.map(({ what, hint }) => warn('certificate', what, hint))
  const kind = loaded.material.isSelfSigned ? 'self-signed, ' : ''
  return [...checks, good('certificate', `${kind}for ${hostname}, ${daysLeft} days left`)]
}

function checkUnmade(path: string, hostname: string): Check {
  if (!existsSync(path))
    return warn('certificate', 'none is configured; the first start makes a self-signed one', distrusted)
  return warn(
    'certificate',
    `none is configured, and the self-signed one in ${path} is not for ${hostname}, ends within a month, or cannot be read; the next start makes another`,
    distrusted,
  )
}

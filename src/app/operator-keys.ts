// The operator's own DKIM key from `[dkim]`: signs every message a second time.

import type { Config } from '../config/index.ts'
import { type DkimKey, importPrivateKey } from '../protocol/auth/dkim/index.ts'

/**
 * The keys, none when nothing is configured. Throws with a sentence when the file is no
 * usable key: start must not go on.
 */
export function operatorKeys(config: Config, keyPem: string | null): readonly DkimKey[] {
  if (config.dkim === null || keyPem === null) return []
  const { domain, selector, keyPath } = config.dkim
  const key = importPrivateKey(keyPem)
  if (key.kind === 'refused') throw new Error(`[dkim] key_file ${keyPath} cannot be used: ${key.why}`)
  return [{ domain, selector, algorithm: key.algorithm, privateKey: key.privateKey }]
}

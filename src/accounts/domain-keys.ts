// The DKIM keys of a domain: an RSA-2048 and an Ed25519 key, made together, stored sealed.
//
// Place on the path: `domain add` makes them; signing-keys.ts opens them. The selector carries random characters, so
// that two accounts or two installations that sign for one domain never fight over one DNS name.

import { formatId, type IdGenerator } from '../base/index.ts'
import {
  type DkimAlgorithm,
  dkimRecordText,
  exportPrivateKey,
  generateDkimKey,
} from '../protocol/auth/dkim/index.ts'
import { base32 } from './secret.ts'
import type { SecretBox } from './secret-box.ts'
import type { DomainKey } from './types.ts'

/** What making keys needs. */
export interface KeyMakerParts {
  readonly ids: IdGenerator
  readonly box: SecretBox
  readonly randomBytes: (sizeBytes: number) => Buffer
  readonly nowMs: () => number
}

const algorithms: readonly { readonly algorithm: DkimAlgorithm; readonly ending: string }[] = [
  { algorithm: 'rsa-sha256', ending: 'rsa' },
  { algorithm: 'ed25519-sha256', ending: 'ed' },
]

/** Both keys for a new domain, with selectors such as `pr-k3xq7a-rsa`. RSA takes about 100 ms in the thread pool. */
export async function makeDomainKeys(parts: KeyMakerParts): Promise<Omit<DomainKey, 'key' | 'domainKey'>[]> {
  const stem = base32(parts.randomBytes(4)).slice(0, 6)
  const createdAtMs = parts.nowMs()
  return await Promise.all(
    algorithms.map(async ({ algorithm, ending }) => {
      const privateKey = await generateDkimKey(algorithm)
      const id = formatId('key', parts.ids.next())
      return {
        id,
        selector: `pr-${stem}-${ending}`,
        algorithm,
        encryptedPrivateKey: parts.box.seal(id, exportPrivateKey(privateKey)),
        publicRecord: dkimRecordText({ algorithm, privateKey }),
        status: 'active' as const,
        createdAtMs,
      }
    }),
  )
}

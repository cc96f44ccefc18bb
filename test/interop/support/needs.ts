// What a test against real programs needs: without it the test says what is missing, with CI=true it fails.

import { missingPeers } from '../../support/peers/index.ts'

/** Options for `test` and `it`. */
export interface Needs {
  readonly skip: string | false
}

/** `names` as `missingPeers` writes them. Receivers need root, too. */
export async function needs(...names: readonly string[]): Promise<Needs> {
  const missing = await missingPeers()
  const absent = names.filter(name => missing.includes(name))
  if (process.getuid?.() !== 0) absent.push('root')
  const isFine = absent.length === 0 || process.env['CI'] === 'true'
  return { skip: isFine ? false : `missing: ${absent.join(', ')}` }
}

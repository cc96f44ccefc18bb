// Errors of the store as errors of the command line: the same code, with a next step.
//
// They are known by their code: the command line does not load the store.

import { cliError } from './error.ts'

/** What to throw for anything thrown by the store. */
export function storeFailure(error: unknown): unknown {
  const { code, message, hint } = error as { code?: unknown; message?: unknown; hint?: unknown }
  if (typeof code !== 'string' || !code.startsWith('PR_')) return error
  const next = typeof hint === 'string' && hint !== '' ? hint : 'postrider doctor looks at the data folder'
  return cliError(code, String(message), next)
}

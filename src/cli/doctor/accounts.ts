// Whether the accounts that listeners name exist. Only a running server can tell; the start of one looks by itself.

import type { AccountJson } from '../../accounts/index.ts'
import type { ControlClient } from '../../api/control/index.ts'
import { type Config, formatSocketAddress, networkListeners } from '../../config/index.ts'
import { bad, type Check, good, warn } from './check.ts'

/** One check for each account that takes mail without a login. */
export async function checkAccounts(config: Config, client: ControlClient): Promise<Check[]> {
  const named = Map.groupBy(networkListeners(config), ({ account }) => account)
  if (named.size === 0) return []
  const found = await client.list('account.list')
  if (!found.ok) return [bad('account', found.error.message, found.error.hint)]
  const existing = new Set((found.value as AccountJson[]).map(({ name }) => name))
  return Array.from(named, ([account, listeners]) => {
    const label = `account ${account}`
    const where = listeners.map(({ address }) => formatSocketAddress(address)).join(', ')
    return existing.has(account)
      ? good(label, `takes the mail of the networks at ${where}`)
      : warn(
          label,
          `does not exist: the networks at ${where} are answered 451`,
          `postrider account create ${account}`,
        )
  })
}

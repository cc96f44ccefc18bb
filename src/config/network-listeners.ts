// Which listeners take mail without a login: only these need the account that they name.
//
// Place on the path: off it. The start, a reload and `postrider doctor` look whether those accounts exist.

import type { Config, ListenerConfig } from './types.ts'

/** The relay listeners with networks. Without any, a relay takes mail only from who has logged in. */
export function networkListeners({ listeners }: Pick<Config, 'listeners'>): readonly ListenerConfig[] {
  return listeners.filter(({ kind, networks }) => kind === 'relay' && networks.length > 0)
}

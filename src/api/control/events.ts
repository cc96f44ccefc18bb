// Control commands about the event log: `event.list` sends events as items, and may go on as new ones come.
//
// The log is read in pages, so that no reader holds memory or the event loop; a reader that follows asks for the last
// sequence number a few times a second, which costs one indexed read and works for every store.

import { setTimeout as sleep } from 'node:timers/promises'
import type { AccountReader } from '../../accounts/index.ts'
import { type EventNames, eventJson } from '../../events/index.ts'
import type { ControlCommands } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { cancelled, done } from './wire.ts'

const pageEvents = 200
const followEveryMs = 200

/** Names of accounts and streams for the JSON form of events. */
export function eventNames(accounts: AccountReader): EventNames {
  return {
    accountId: key => (key === 0 ? null : (accounts.accountByKey(key)?.id ?? null)),
    streamName: key => (key === 0 ? null : (accounts.stream(key)?.name ?? null)),
  }
}

/** `event.list` with `after` (0), `limit` (all) and `follow` (false); the result is the last `seq` sent. */
export function eventCommands(ports: Pick<ControlPorts, 'accounts' | 'events'>): ControlCommands {
  return {
    'event.list': async (given, { item, signal }) => {
      let after = given.whole('after', [0, Number.MAX_SAFE_INTEGER]) ?? 0
      let left = given.whole('limit', [1, Number.MAX_SAFE_INTEGER]) ?? Number.POSITIVE_INFINITY
      const follows = given.flag('follow', false)
      if (given.problem !== null) return given.problem
      const names = eventNames(ports.accounts)
      // Without `follow`, what comes while we print is for the next call: a busy log has no end otherwise.
      const end = follows ? Number.POSITIVE_INFINITY : ports.events.lastSeq()
      while (left > 0 && after < end && !signal.aborted) {
        const page = ports.events.list(after, Math.min(pageEvents, left))
        for (const event of page) {
          if (event.seq > end || signal.aborted) break
          await item(eventJson(event, names))
          after = event.seq
          left--
        }
        if (page.length > 0 && (page.at(-1)?.seq ?? 0) <= end) continue
        if (!follows) break
        await sleep(followEveryMs, undefined, { signal }).catch(() => undefined)
      }
      const isBrokenOff = !follows && signal.aborted && left > 0 && after < end
      return isBrokenOff ? cancelled() : done({ lastSeq: after })
    },
  }
}

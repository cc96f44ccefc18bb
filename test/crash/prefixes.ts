// What Postrider puts before a content: both signatures, the trace field, the fields that were missing. It is made once,
// at acceptance, so it must be the same whenever a message is seen, waiting or arriving, over all kills and power cuts.
//
// The first sight of each is judged by mailauth, with the keys that the data folder says its domain has: whatever is
// damaged in a signature, in what it covers or in the content makes it fail. The trace field, which no signature covers,
// is held to its place among the fields and to what it was at the first sight.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { dkimVerify } from 'mailauth'
import { type KeyRecords, resolverOf } from '../interop/support/key-records.ts'
import { contentOf, type Recognised, type Sent } from './message.ts'

interface Seen {
  readonly prefix: string
  readonly sent: Sent
}

/** Behind as many signatures as there are keys. The load leaves the last two to us. */
const fieldsBehind: readonly string[] = ['Received', 'Message-ID', 'Date']

/** The prefixes of one story, by id. */
export class Prefixes {
  readonly #seen = new Map<string, Seen>()
  readonly #unverified = new Set<string>()

  copy(): Prefixes {
    const copied = new Prefixes()
    for (const [id, seen] of this.#seen) copied.#seen.set(id, seen)
    for (const id of this.#unverified) copied.#unverified.add(id)
    return copied
  }

  /** A message was seen. @returns what is wrong with it so far. */
  note({ id, sent, prefix }: Recognised): string[] {
    const first = this.#seen.get(id)
    if (first === undefined) {
      this.#seen.set(id, { prefix, sent })
      this.#unverified.add(id)
      return []
    }
    if (first.sent.number !== sent.number)
      return [`${id} is number ${sent.number}, and was number ${first.sent.number} when it was first seen`]
    return first.prefix === prefix ? [] : [`${id} has another prefix than when it was first seen`]
  }

  /** Judges all that was seen since the last time. */
  async verify(keysIn: () => KeyRecords): Promise<string[]> {
    if (this.#unverified.size === 0) return []
    const wrong: string[] = []
    const keys = keysIn()
    for (const id of this.#unverified) {
      const found = await judge(this.#seen.get(id)!, keys)
      if (found === null) continue
      wrong.push(`${id}: ${found}`)
      // What is right may still come.
      this.#seen.delete(id)
    }
    this.#unverified.clear()
    return wrong
  }
}

async function judge({ prefix, sent }: Seen, keys: KeyRecords): Promise<string | null> {
  const owners = Object.keys(keys)
  const names = [...prefix.matchAll(/^([^\s:]+):/gm)].map(([, name]) => name)
  const wanted = [...owners.map(() => 'DKIM-Signature'), ...fieldsBehind]
  if (!prefix.endsWith('\r\n') || names.join() !== wanted.join())
    return `its prefix has the fields ${names.join(', ')}, not ${wanted.join(', ')}`
  const whole = Buffer.concat([Buffer.from(prefix, 'latin1'), contentOf(sent)])
  const { results } = await dkimVerify(whole, { resolver: resolverOf(keys) })
  const passed = results.filter(({ status }) => status.result === 'pass')
  const signers = passed.map(one => `${one.selector}._domainkey.${one.signingDomain}`)
  if (signers.sort().join() === owners.sort().join()) return null
  return `of its ${owners.length} signatures these are good: ${signers.join(', ') || 'none'}`
}

/** The DNS records of all signing keys in a data folder. */
export function keyRecordsIn(dataDir: string): KeyRecords {
  using db = new DatabaseSync(join(dataDir, 'postrider.db'), { readOnly: true })
  const rows = db
    .prepare(
      "SELECT selector || '._domainkey.' || name AS owner, public_record AS record" +
        ' FROM domain_key JOIN domain ON domain.key = domain_key.domain_key',
    )
    .all() as { owner: string; record: string }[]
  return Object.fromEntries(rows.map(({ owner, record }) => [owner, record]))
}

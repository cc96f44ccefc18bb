// Two judges of DKIM signatures that share no code with us or with each other: OpenDKIM and mailauth. Both are given the
// key records as a test says they stand in DNS.

import { dkimVerify } from 'mailauth'
import { verifyWithOpendkim } from '../../support/peers/index.ts'

/** A signature as both judges know it. */
export interface Verdict {
  readonly judge: 'opendkim' | 'mailauth'
  readonly domain: string
  readonly selector: string
  /** `rsa-sha256` or `ed25519-sha256`. */
  readonly algorithm: string
  /** `pass`, `fail`, `neutral`, … */
  readonly result: string
}

/** Key records: `selector._domainkey.domain` and the record's text. */
export type KeyRecords = Readonly<Record<string, string>>

/** What both say of every signature of a message, those of OpenDKIM first. */
export async function judge(bytes: Buffer, dnsTxtRecords: KeyRecords): Promise<Verdict[]> {
  const opendkim = await verifyWithOpendkim(bytes, { dnsTxtRecords })
  const mailauth = await dkimVerify(bytes, { resolver: resolverOf(dnsTxtRecords) })
  return [
    ...opendkim.signatures.map(
      ({ domain, selector, algorithm, result }): Verdict => ({
        judge: 'opendkim',
        domain,
        selector,
        algorithm,
        result,
      }),
    ),
    ...mailauth.results
      .filter(one => one.signingDomain !== undefined && one.signingDomain !== '')
      .map(
        (one): Verdict => ({
          judge: 'mailauth',
          domain: String(one.signingDomain),
          selector: String(one.selector),
          algorithm: String(one.algo),
          result: one.status.result,
        }),
      ),
  ]
}

/** A resolver for mailauth that knows these records only. */
export function resolverOf(records: KeyRecords): (name: string, type: string) => Promise<string[][]> {
  return async (name, type) => {
    const text = type === 'TXT' ? records[name] : undefined
    if (text === undefined)
      throw Object.assign(new Error(`no ${type} record of ${name}`), { code: 'ENOTFOUND' })
    return [[text]]
  }
}

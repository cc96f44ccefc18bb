// What a judge of DKIM signatures is, and how a test compares what several of them say.

import type { JudgeName } from './programs.ts'

/** A judge's word about one signature. */
export interface Verdict {
  readonly domain: string
  readonly selector: string
  /** `pass`, or what else it said. */
  readonly result: string
}

/** Where key records stand. */
export interface Keys {
  /** The records as the operator is told to publish them: `selector._domainkey.domain` and the text. */
  readonly records: Readonly<Record<string, string>>
  /** A name server that has them. */
  readonly dns: { readonly address: string; readonly port: number }
}

/** A program that verifies signatures, with nothing in common with ours or with another judge. */
export interface Judge extends AsyncDisposable {
  readonly name: JudgeName
  /** For each mail what it says of each signature, in any order. */
  judge(mails: readonly Buffer[]): Promise<Verdict[][]>
}

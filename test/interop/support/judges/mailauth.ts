// npm's mailauth as a judge, in the process of the test.

import { Resolver } from 'node:dns/promises'
import { dkimVerify } from 'mailauth'
import type { Judge, Keys, Verdict } from './verdict.ts'

export function mailAuth(keys: Keys): Judge {
  const resolver = new Resolver({ timeout: 5000, tries: 3 })
  resolver.setServers([`${keys.dns.address}:${keys.dns.port}`])
  const ask = async (name: string, type: string): Promise<string[][]> => {
    if (type === 'TXT') return await resolver.resolveTxt(name)
    throw Object.assign(new Error(`no ${type} records here`), { code: 'ENOTFOUND' })
  }
  return {
    name: 'mailauth',
    judge: async mails => {
      const verdicts: Verdict[][] = []
      for (const mail of mails) {
        const { results } = await dkimVerify(mail, { resolver: ask })
        const signed = results.filter(one => one.signingDomain !== undefined && one.signingDomain !== '')
        verdicts.push(
          signed.map(one => ({
            domain: String(one.signingDomain),
            selector: String(one.selector),
            result: one.status.result,
          })),
        )
      }
      return verdicts
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

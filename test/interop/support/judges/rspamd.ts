// rspamd as a judge: a running server, asked over HTTP.

import { freePort, startRspamd } from '../../../support/peers/index.ts'
import type { Judge, Keys, Verdict } from './verdict.ts'

const results: Readonly<Record<string, string>> = {
  R_DKIM_ALLOW: 'pass',
  R_DKIM_REJECT: 'fail',
  R_DKIM_TEMPFAIL: 'temperror',
  R_DKIM_PERMFAIL: 'permerror',
}

export async function rspamd(keys: Keys): Promise<Judge> {
  const server = await startRspamd({ port: await freePort(), dns: keys.dns })
  const judgeOne = async (mail: Buffer): Promise<Verdict[]> => {
    const { symbols } = await server.check(mail)
    return Object.entries(results).flatMap(([symbol, result]) =>
      (symbols[symbol]?.options ?? []).map(option => {
        const [domain = '', selector = ''] = option.split(':s=')
        return { domain, selector, result }
      }),
    )
  }
  return {
    name: 'rspamd',
    judge: async mails => {
      const verdicts: Verdict[][] = []
      for (const mail of mails) verdicts.push(await judgeOne(mail))
      return verdicts
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

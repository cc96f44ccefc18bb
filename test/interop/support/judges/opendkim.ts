// OpenDKIM as a judge. The only one that does not ask DNS: its test mode reads the same records from a file.

import { verifyWithOpendkim } from '../../../support/peers/index.ts'
import type { Judge, Keys, Verdict } from './verdict.ts'

export function openDkim(keys: Keys): Judge {
  return {
    name: 'OpenDKIM',
    judge: async mails => {
      const verdicts: Verdict[][] = []
      for (const mail of mails) {
        const { signatures } = await verifyWithOpendkim(mail, { dnsTxtRecords: keys.records })
        verdicts.push(signatures.map(({ domain, selector, result }) => ({ domain, selector, result })))
      }
      return verdicts
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

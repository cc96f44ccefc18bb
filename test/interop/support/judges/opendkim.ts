// OpenDKIM as a judge. The only one that does not ask DNS: its test mode reads the same records from a file.

import { verifyAllWithOpendkim } from '../../../support/peers/index.ts'
import type { Judge, Keys, Verdict } from './verdict.ts'

export function openDkim(keys: Keys): Judge {
  return {
    name: 'OpenDKIM',
    judge: async mails => {
      const reports = await verifyAllWithOpendkim(mails, { dnsTxtRecords: keys.records })
      return reports.map(({ signatures }) =>
        signatures.map(({ domain, selector, result }): Verdict => ({ domain, selector, result })),
      )
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

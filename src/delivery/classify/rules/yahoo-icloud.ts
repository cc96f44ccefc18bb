// What Yahoo (with AOL and Verizon) and iCloud say. Their bracketed words name the rule.
//
// Place: asked before the common texts (table.ts). Every rule has samples that must win it, tested with the table.

import type { Rule } from '../types.ts'

const yahoo = ['yahoo'] as const
const icloud = ['icloud'] as const

export const yahooAndIcloudRules: readonly Rule[] = [
  {
    id: 'yahoo-volume',
    when: { site: yahoo, text: /\[(TS01|TSS04|TSS05|IPTS04|IPTS05)\]/ },
    category: 'rate-limited',
    scope: 'address',
    samples: [
      '421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints',
    ],
  },
  {
    id: 'yahoo-pattern',
    when: { site: yahoo, text: /\[(TS02|TS03|TSS0[36])\]/ },
    category: 'reputation',
    scope: 'address',
    samples: [
      '421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred; retrying will not succeed',
    ],
  },
  {
    id: 'yahoo-blocklisted',
    when: { site: yahoo, text: /\[BL\d\d\]|\[TSS07\]|Spamhaus/i },
    category: 'blocklisted',
    scope: 'address',
    samples: [
      '553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in a list by Spamhaus',
    ],
  },
  {
    id: 'yahoo-unknown-user',
    when: { site: yahoo, text: /does not have a (yahoo|aol|[a-z.]{1,40}) account|mailbox not found/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: ['554 delivery error: dd This user does not have a yahoo.com account'],
  },
  {
    id: 'yahoo-disabled',
    when: { site: yahoo, text: /mailbox (is )?disabled|account (is )?not active|over quota and disabled/i },
    category: 'mailbox-disabled',
    scope: 'recipient',
    samples: ['554 5.2.1 delivery error: dd Sorry, this mailbox is disabled'],
  },
  {
    id: 'yahoo-messages-per-connection',
    when: { site: yahoo, text: /max message(s)? per connection/i },
    category: 'server-busy',
    scope: 'address',
    samples: ['421 Max message per connection reached, closing transmission channel'],
  },
  {
    id: 'yahoo-dmarc',
    when: { site: yahoo, enhanced: /^5\.7\.9$/ },
    category: 'authentication',
    scope: 'configuration',
    samples: ['554 5.7.9 Message not accepted for policy reasons (DMARC)'],
  },
  {
    id: 'yahoo-recipient-rate',
    when: { site: yahoo, text: /user .{0,40}receiving mail too quickly/i },
    category: 'recipient-rate',
    scope: 'recipient',
    samples: ['451 4.2.1 The user is receiving mail too quickly'],
  },
  {
    id: 'icloud-deferred',
    when: { site: icloud, text: /\[?(HCM1|HM08|BS02)\b/ },
    category: 'rate-limited',
    scope: 'address',
    samples: ['421 4.7.1 Message deferred [HCM1]', '451 4.7.1 service unavailable [BS02]'],
  },
  {
    id: 'icloud-volume',
    when: { site: icloud, text: /excessive volume/i },
    category: 'rate-limited',
    scope: 'address',
    samples: ['450 4.7.0 Blocked due to excessive volume'],
  },
  {
    id: 'icloud-policy',
    when: { site: icloud, text: /\[?(CS01|HVU|HME)\b|local policy/i },
    category: 'spam-content',
    scope: 'content',
    samples: ['554 5.7.1 [CS01] Message rejected due to local policy'],
  },
  {
    id: 'icloud-unknown-user',
    when: { site: icloud, code: 550, text: /user does not exist|invalid mailbox/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: ['550 5.1.1 <nobody@icloud.test>: user does not exist'],
  },
  {
    // The DBL lists domains, not addresses.
    id: 'icloud-domain-blocklisted',
    when: { site: icloud, text: /\bDBL\b/i },
    category: 'blocklisted',
    scope: 'account',
    samples: [
      '550 5.7.1 Your email was rejected due to having a domain present in the Spamhaus DBL - see the help page',
    ],
  },
  {
    id: 'icloud-blocklisted',
    when: { site: icloud, text: /spamhaus|\bproofpoint\b/i },
    category: 'blocklisted',
    scope: 'address',
    samples: ['554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1'],
  },
]

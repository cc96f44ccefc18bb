// Fuzz target: what a peer's reply means: every reply gets a meaning, in bounded time.

import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import { mailProviders } from '../resolve/index.ts'
import { classifyReply, parseReplyText, rules } from './index.ts'

const sites = ['', ...mailProviders.map(provider => provider.name)]
const stages = ['greeting', 'rcpt', 'data'] as const
const ids = new Set(rules.map(rule => rule.id))

export const target: FuzzTarget = {
  name: 'classify',
  invariants: [
    'every reply gets the meaning of one rule of the table, whoever sent it and whatever it says',
    'the time does not grow faster than the text',
  ],
  dictionary: [
    '550 ',
    '451 ',
    '421 ',
    '5.7.1 ',
    '4.2.0 ',
    '5.1.1 ',
    'spam',
    'blocked',
    'user unknown',
    'mailbox full',
    'rate limit',
    'greylisted',
    'try again later',
    'https://',
    'Spamhaus',
    'DNSBL',
    'S3150',
    'AS(201806281)',
    'TSS04',
    'too many',
    '[127.0.0.1]',
    'quota',
    'DMARC',
    'SPF',
    ' ',
    '.',
    '-',
  ],
  seeds: rules.flatMap(rule => rule.samples.slice(0, 1)),
  inputBytesMax: 500,
  slowMs: 300,
  run(input) {
    const line = input.toString('utf8')
    const reply = parseReplyText(line) ?? { code: 500 + (input.length % 60), enhanced: '', text: line }
    for (const site of sites) {
      for (const stage of stages) {
        const { ruleId, category, scope } = classifyReply({ ...reply, site, stage })
        must(ids.has(ruleId) && category.length > 0 && scope.length > 0, 'a rule of the table decides')
      }
    }
  },
}

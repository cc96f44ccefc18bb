// `postrider bounce classify`: what a reply of a peer means, by the rules that delivery uses. Works without a server.
// Rules of an operator answer only when --site names him, as in delivery only where the MX hosts are his.

import { type Command, Option } from 'commander'
import { type Classification, classifyReply, parseReplyText } from '../delivery/classify/index.ts'
import type { OutcomeStage } from '../events/index.ts'
import type { Cli } from './cli.ts'
import { cliError } from './error.ts'

const stages = ['connect', 'greeting', 'ehlo', 'starttls', 'auth', 'mail', 'rcpt', 'data'] as const

interface ClassifyJson extends Classification {
  readonly code: number
  readonly enhancedCode: string
  readonly text: string
  /** What becomes of the recipient. */
  readonly kind: 'bounced' | 'deferred'
}

/** Adds `bounce`. */
export function bounceCommand(program: Command, cli: Cli): void {
  program
    .command('bounce')
    .description('what replies of other mail servers mean')
    .command('classify')
    .description('classify a reply such as "550 5.1.1 no such user"')
    .argument('<reply...>', 'code, enhanced code if there is one, and text')
    .option(
      '--site <operator>',
      'who operates the server, for instance google; without it only the common rules are asked',
      '',
    )
    .addOption(new Option('--stage <stage>', 'the command it answered').choices([...stages]).default('rcpt'))
    .action(async (words: string[], { site, stage }: { site: string; stage: OutcomeStage }) => {
      const reply = parseReplyText(words.join(' '))
      if (reply === null)
        throw cliError(
          'invalid',
          'this is not a reply: it must begin with a code',
          'for instance 550 5.1.1 no such user',
        )
      const means = classifyReply({ ...reply, site, stage })
      const { code, enhanced, text } = reply
      const kind = code < 500 || means.isTemporary ? 'deferred' : 'bounced'
      const shown: ClassifyJson = { code, enhancedCode: enhanced, text, kind, ...means }
      await cli.print(
        shown,
        ({ category, scope, ruleId }) =>
          `${kind}  ${cli.paint('strong', category)}, it concerns the ${scope} (rule ${ruleId})\n`,
      )
    })
}

// Finds the rule for a reply: operator, stage, code, enhanced code and text together.
//
// Never on the enhanced code alone where an operator's text is known: Gmail and Microsoft use one number for several
// things. An operator's rules speak of that operator only: where nobody knows who answered, the common ones do.
// A reply never speaks of what its server has not been told of yet. Linear in the text, which is cut first.

import type { OutcomeScope, OutcomeStage } from '../../events/index.ts'
import { rules } from './table.ts'
import type { Classification, ClassifyInput, Rule, RuleCondition } from './types.ts'

const textCharactersMax = 2_000

/** What this reply means and whom it speaks of. Always answers. */
export function classifyReply(input: ClassifyInput): Classification {
  const cut =
    input.text.length > textCharactersMax ? { ...input, text: input.text.slice(0, textCharactersMax) } : input
  const rule = rules.find(one => isKnown(one.scope, cut.stage) && applies(one.when, cut))!
  return classification(rule)
}

/** Reads `550 5.1.1 text` as a reply; null when it does not begin with a code. For the CLI and the samples. */
export function parseReplyText(line: string): Pick<ClassifyInput, 'code' | 'enhanced' | 'text'> | null {
  const match = /^([2-5]\d\d)(?:[ -]|$)(?:([245]\.\d{1,3}\.\d{1,3})(?: |$))?/.exec(line)
  if (match === null) return null
  return { code: Number(match[1]), enhanced: match[2] ?? '', text: line.slice(match[0].length) }
}

function classification(rule: Rule): Classification {
  const { category, scope, id, isTemporary = false } = rule
  return { category, scope, ruleId: id, isTemporary }
}

/** At MAIL a server knows of no recipient yet, and before it of no content, whatever its words are. */
function isKnown(scope: OutcomeScope, stage: OutcomeStage): boolean {
  const isAddressed = stage === 'rcpt' || stage === 'data'
  if (scope === 'recipient') return isAddressed
  return scope !== 'content' || isAddressed || stage === 'mail'
}

function applies(when: RuleCondition, input: ClassifyInput): boolean {
  if (when.site !== undefined && !when.site.includes(input.site)) return false
  if (when.code !== undefined && !isCode(when.code, input.code)) return false
  if (when.stage !== undefined && !when.stage.includes(input.stage)) return false
  if (when.enhanced !== undefined && !when.enhanced.test(input.enhanced)) return false
  return when.text === undefined || when.text.test(input.text)
}

function isCode(wanted: number | readonly number[], code: number): boolean {
  if (typeof wanted === 'number') return wanted === (wanted < 10 ? Math.floor(code / 100) : code)
  return wanted.includes(code)
}

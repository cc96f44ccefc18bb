// Classification: from a peer's reply to category and scope, by rules that are data with tested samples.
export { classifyReply, parseReplyText } from './classify.ts'
export { rules, rulesVersion } from './table.ts'
export type { Category, Classification, ClassifyInput, Rule, RuleCondition } from './types.ts'

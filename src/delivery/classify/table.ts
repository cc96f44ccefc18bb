// All rules in the order in which they are asked; the first that applies wins.
//
// `rulesVersion` grows with every change, so that stored outcomes can be told apart in reports.

import { fallbackRules } from './rules/fallback.ts'
import { gatewayRules } from './rules/gateways.ts'
import { genericRules } from './rules/generic.ts'
import { googleRules } from './rules/google.ts'
import { microsoftRules } from './rules/microsoft.ts'
import { yahooAndIcloudRules } from './rules/yahoo-icloud.ts'
import type { Rule } from './types.ts'

export const rulesVersion = 2

/** Operators first, then texts of common servers, then codes alone. */
export const rules: readonly Rule[] = [
  ...googleRules,
  ...microsoftRules,
  ...yahooAndIcloudRules,
  ...gatewayRules,
  ...genericRules,
  ...fallbackRules,
]

// The resolve stage: from a recipient's domain to hosts in order, and the site they belong to.

export { type Doubt, findDoubt, type NegativeAnswer } from './belief.ts'
export { failureCodes } from './failure.ts'
export { type IsOwnAddress, ownAddressCheck } from './own-address.ts'
export { Planner, type PlannerOptions, type PlannerResolvers } from './planner.ts'
export { type AddressGuard, cidrProblem, createAddressGuard } from './private-address.ts'
export { type MailProvider, mailProviders, takesOneDomain } from './providers.ts'
export { type Site, siteOf } from './site.ts'
export type {
  DeliveryPlan,
  PlanAddress,
  PlanHost,
  PlanResult,
  ResolveFailure,
  ResolveFailureReason,
} from './types.ts'

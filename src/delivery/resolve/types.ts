// The values of the resolve stage: a plan of hosts to try in order, or why there is none.
//
// route ▶ shape ▶ RESOLVE ▶ connect. A failure carries all that an outcome needs (codes, text, stage, scope),
// so that nothing has to be parsed again. Lives (`ttlMs`) come from DNS.

/** One address of a host. */
export interface PlanAddress {
  /** Without brackets, IPv6 in lower case. */
  readonly address: string
  readonly family: 4 | 6
}

/** One host to try, with the addresses to try it at, in order; never empty. */
export interface PlanHost {
  /** MX host name as in the MX record (lower case), or the address literal with brackets. */
  readonly name: string
  /** The name that owns the addresses: differs behind a CNAME (tolerated, against RFC 5321 §5.1). */
  readonly canonicalName: string
  readonly preference: number
  readonly addresses: readonly PlanAddress[]
  /** DNSSEC proves both the MX record and the addresses: DANE may be used (RFC 7672 §2.2). */
  readonly isAuthenticated: boolean
}

/** Hosts to try in this order, equal preferences already shuffled. */
export interface DeliveryPlan {
  readonly kind: 'plan'
  /** What was asked: domain in lower case, address literal, or smarthost. */
  readonly domain: string
  /** Connections are counted by this: a provider, or the normalised MX set. */
  readonly site: string
  /** Name from the provider table, or null. */
  readonly provider: string | null
  readonly hosts: readonly PlanHost[]
  /** There were no MX records: the domain itself is the host (RFC 5321 §5.1). */
  readonly isImplicitMx: boolean
  /** DNSSEC proves the MX records, or that there are none. */
  readonly isMxAuthenticated: boolean
  /** How long it may still be used, from now. */
  readonly ttlMs: number
}

/** Why there is no plan. */
export type ResolveFailureReason =
  | 'bad-domain'
  | 'nxdomain'
  | 'no-records'
  | 'null-mx'
  | 'no-address'
  | 'loop'
  | 'private-address'
  | 'smarthost-unusable'
  | 'smarthost-loop'
  | 'dns-failure'
  | 'aborted'

/** No host to try. Permanent ones bounce, others are deferred. */
export interface ResolveFailure {
  readonly kind: 'failure'
  readonly reason: ResolveFailureReason
  readonly isPermanent: boolean
  /** SMTP code as we would reply it. */
  readonly code: number
  /** RFC 3463. */
  readonly enhancedCode: string
  /** One sentence for people: which domain, what is wrong, what to do. */
  readonly text: string
  readonly stage: 'resolve'
  /** `configuration`: a smarthost is named wrongly. */
  readonly scope: 'domain' | 'configuration'
  readonly domain: string
  readonly ttlMs: number
}

export type PlanResult = DeliveryPlan | ResolveFailure

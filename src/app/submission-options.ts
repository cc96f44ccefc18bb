// From the configuration to what submissions and the address guard want.

import type { Config } from '../config/index.ts'
import type { AddressLimits, SubmissionOptions } from '../intake/index.ts'

/** RFC 5321 §4.5.3.1.6: 1,000 octets with the CRLF. */
const longLineBytesMax = 998

export function submissionOptionsOf(config: Config): SubmissionOptions {
  const { limits, retry, hostname } = config
  return {
    hostname,
    headerBytesMax: limits.headerSizeBytes,
    headerFieldsMax: limits.headerFields,
    inlineBytesMax: limits.inlineContentSizeBytes,
    receivedMax: limits.receivedHops,
    longLineBytesMax,
    expireMs: retry.expireMs,
  }
}

export function addressLimitsOf({ limits }: Config): AddressLimits {
  return {
    connectionsPerAddressMax: limits.connectionsPerAddress,
    connectionsPerMinuteMax: limits.connectionRatePerAddress,
    freeAuthFailures: limits.authFailures,
    authDelayMsMax: 10_000,
  }
}

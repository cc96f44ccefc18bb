// The EHLO keywords as a table: what is announced, when, and with which parameter.
//
// A keyword stands here only when its commands, parameters and limits are complete.

import type { SmtpSessionFacts } from './handler.ts'
import type { SmtpServerOptions } from './options.ts'

/** One EHLO keyword. */
export interface SmtpExtension {
  readonly keyword: string
  /** Parameter text; '' for none; null when the keyword is not announced now. */
  readonly parameter: (options: SmtpServerOptions, facts: SmtpSessionFacts) => string | null
}

const always = (): string => ''

/** All extensions, in the order of the EHLO reply. */
export const smtpExtensions: readonly SmtpExtension[] = [
  { keyword: 'PIPELINING', parameter: always }, // RFC 2920
  { keyword: 'SIZE', parameter: options => String(options.maxSizeBytes) }, // RFC 1870
  { keyword: '8BITMIME', parameter: always }, // RFC 6152
  { keyword: 'SMTPUTF8', parameter: always }, // RFC 6531
  { keyword: 'ENHANCEDSTATUSCODES', parameter: always }, // RFC 2034
  { keyword: 'CHUNKING', parameter: always }, // RFC 3030
  { keyword: 'DSN', parameter: always }, // RFC 3461
  // RFC 3207 §4.2: not under TLS.
  {
    keyword: 'STARTTLS',
    parameter: (o, facts) => (o.tls.mode === 'starttls' && facts.tls === null ? '' : null),
  },
  // RFC 4954; never without TLS, and not again after success.
  {
    keyword: 'AUTH',
    parameter: (options, facts) =>
      options.offersAuth && facts.tls !== null && facts.authenticatedAs === null ? 'PLAIN LOGIN' : null,
  },
  // RFC 9422
  {
    keyword: 'LIMITS',
    parameter: ({ limits }) => `RCPTMAX=${limits.rcptMax} MAILMAX=${limits.mailsPerSession}`,
  },
]

/** Lines of the EHLO reply behind the first. */
export function announce(options: SmtpServerOptions, facts: SmtpSessionFacts): string[] {
  const lines: string[] = []
  for (const extension of smtpExtensions) {
    const parameter = extension.parameter(options, facts)
    if (parameter !== null)
      lines.push(parameter === '' ? extension.keyword : `${extension.keyword} ${parameter}`)
  }
  return lines
}

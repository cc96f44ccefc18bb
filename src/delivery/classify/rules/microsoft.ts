// What Microsoft says: 365 (business) and Outlook.com (consumers). Codes in brackets or after "S" name the rule there.
//
// Place: asked before the common texts (table.ts). Every rule has samples that must win it, tested with the table.

import type { Rule } from '../types.ts'

const business = ['microsoft-365'] as const
const consumer = ['outlook-com'] as const
const both = ['microsoft-365', 'outlook-com'] as const

export const microsoftRules: readonly Rule[] = [
  {
    id: 'outlook-blocklisted',
    when: { site: consumer, text: /\bS31(4|5)\d\b|on our block list/i },
    category: 'blocklisted',
    scope: 'address',
    samples: [
      '550 5.7.1 Messages from [192.0.2.1] were not sent, part of their network is on our block list (S3150).',
    ],
  },
  {
    id: 'outlook-rate-by-reputation',
    when: { site: consumer, text: /\bS775\b|\bS3114\b|rate limited due to IP reputation/i },
    category: 'rate-limited',
    scope: 'address',
    samples: [
      '451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)',
    ],
  },
  {
    id: 'outlook-connections',
    when: { site: consumer, enhanced: /^4\.7\.652$/ },
    category: 'too-many-connections',
    scope: 'address',
    samples: ['451 4.7.652 The mail server [192.0.2.1] has exceeded the maximum number of connections.'],
  },
  {
    id: 'outlook-reputation',
    when: { site: consumer, text: /\b(RP-00[1-3]|DY-00[12]|SC-00[1-4])\b/ },
    category: 'reputation',
    scope: 'address',
    samples: ['421 RP-001 The mail server IP has exceeded the rate limit allowed on this connection.'],
  },
  {
    id: 'outlook-mailbox-unavailable',
    when: { site: consumer, code: 550, enhanced: /^5\.5\.0$/, text: /mailbox unavailable/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: ['550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).'],
  },
  {
    id: 'microsoft-authentication-level',
    when: { site: both, enhanced: /^[45]\.7\.515$/ },
    category: 'authentication',
    scope: 'configuration',
    samples: [
      '550 5.7.515 Access denied, sending domain example.test does not meet the required authentication level.',
    ],
  },
  {
    id: 'microsoft-dmarc',
    when: { site: both, enhanced: /^[45]\.7\.509$/ },
    category: 'authentication',
    scope: 'configuration',
    samples: [
      '550 5.7.509 Access denied, sending domain example.test does not pass DMARC verification and has reject.',
    ],
  },
  {
    id: 'microsoft-banned-address',
    when: { site: both, enhanced: /^5\.7\.(60[6-9]|6[1-4]\d)$/ },
    category: 'blocklisted',
    scope: 'address',
    samples: ['550 5.7.606 Access denied, banned sending IP [192.0.2.1].'],
  },
  {
    id: 'microsoft-banned-sender',
    when: { site: both, enhanced: /^5\.7\.5(0[1-3]|11)$/ },
    category: 'sender-refused',
    scope: 'account',
    samples: [
      '550 5.7.501 Access denied, spam abuse detected from this sender.',
      '550 5.7.511 Access denied, banned sender.',
    ],
  },
  {
    id: 'microsoft-malformed',
    when: { site: both, enhanced: /^5\.7\.512$/ },
    category: 'malformed-message',
    scope: 'content',
    samples: ['550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant'],
  },
  {
    id: 'microsoft-over-limit',
    when: { site: both, enhanced: /^[45]\.7\.(508|7\d\d)$/ },
    category: 'rate-limited',
    scope: 'address',
    isTemporary: true,
    samples: ['550 5.7.508 Access denied, [192.0.2.1] has exceeded permitted limits within its range.'],
  },
  {
    id: 'microsoft-recipient-rate',
    when: { site: both, enhanced: /^[45]\.2\.12[12]$/ },
    category: 'recipient-rate',
    scope: 'recipient',
    isTemporary: true,
    samples: ['550 5.2.121 Recipient limit for messages from this sender an hour exceeded.'],
  },
  {
    id: 'microsoft-unknown-user',
    when: { site: business, enhanced: /^5\.(4\.1|1\.10|1\.1)$/, text: /access denied|not found|resolver/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: [
      '550 5.4.1 Recipient address rejected: Access denied. AS(201806281)',
      '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
    ],
  },
  {
    id: 'microsoft-restricted-group',
    when: { site: business, code: 550, text: /RESOLVER\.RST|not authorized to send to/i },
    category: 'recipient-policy',
    scope: 'recipient',
    samples: ['550 5.7.129 RESOLVER.RST.NotAuthorized; not authorized'],
  },
  {
    id: 'microsoft-mailbox-full',
    when: { site: both, enhanced: /^[45]\.2\.2$/ },
    category: 'mailbox-full',
    scope: 'recipient',
    samples: ['552 5.2.2 STOREDRV.Deliver; mailbox full'],
  },
  {
    id: 'microsoft-busy',
    when: { site: both, text: /\bAS(761|77\d)\b|server busy/i },
    category: 'server-busy',
    scope: 'address',
    samples: ['451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS761)'],
  },
  {
    id: 'microsoft-try-later',
    when: { site: both, enhanced: /^4\.7\.8[5-9]\d$/ },
    category: 'rate-limited',
    scope: 'address',
    samples: ['451 4.7.851 Access denied, please try again later'],
  },
  {
    id: 'microsoft-tls',
    when: { site: business, enhanced: /^[45]\.(4\.317|7\.32[1-5])$/ },
    category: 'tls',
    scope: 'domain',
    samples: ['451 4.4.317 Cannot establish session with remote server: starttls-not-supported'],
  },
  {
    id: 'microsoft-content',
    when: { site: both, code: 550, text: /considered spam|suspected as spam/i },
    category: 'spam-content',
    scope: 'content',
    samples: ['550 5.7.350 Remote server returned message detected as spam: suspected as spam'],
  },
  {
    id: 'microsoft-connector',
    when: { site: business, text: /TenantAttribution|relay access denied/i },
    category: 'relay-denied',
    scope: 'configuration',
    samples: ['550 5.7.64 TenantAttribution; Relay Access Denied'],
  },
]

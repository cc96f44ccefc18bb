// What Google says: Gmail and Workspace. One number is used for several things there, so the text decides.
//
// Place: asked before the common texts (table.ts). Every rule has samples that must win it, tested with the table.

import type { Rule } from '../types.ts'

const site = ['google'] as const

export const googleRules: readonly Rule[] = [
  {
    id: 'google-unknown-user',
    when: { site, code: 550, text: /account that you tried to reach does not exist/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: ['550 5.1.1 The email account that you tried to reach does not exist. - gsmtp'],
  },
  {
    id: 'google-disabled',
    when: { site, code: 550, enhanced: /^5\.2\.1$/, text: /disabled|inactive/i },
    category: 'mailbox-disabled',
    scope: 'recipient',
    samples: ['550 5.2.1 The email account that you tried to reach is disabled. - gsmtp'],
  },
  {
    id: 'google-recipient-rate',
    when: { site, text: /receiving (mail|email|messages) (too quickly|at a rate)/i },
    category: 'recipient-rate',
    scope: 'recipient',
    isTemporary: true,
    samples: [
      '450 4.2.1 The user you are trying to contact is receiving mail too quickly. - gsmtp',
      '550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages. - gsmtp',
    ],
  },
  {
    id: 'google-over-quota',
    when: { site, enhanced: /^[45]\.2\.2$/ },
    category: 'mailbox-full',
    scope: 'recipient',
    samples: [
      '452 4.2.2 The recipient inbox is out of storage space. - gsmtp',
      '552 5.2.2 The recipient inbox is out of storage space and inactive. - gsmtp',
    ],
  },
  {
    id: 'google-unauthenticated',
    when: { site, enhanced: /^[45]\.7\.(26|27|30|32|40)$/ },
    category: 'authentication',
    scope: 'configuration',
    samples: [
      '550 5.7.26 This mail has been blocked because the sender is unauthenticated. - gsmtp',
      '421 4.7.27 Your email has been rate limited because SPF authentication did not pass. - gsmtp',
      '421 4.7.30 Your email has been rate limited because DKIM authentication did not pass. - gsmtp',
      '550 5.7.32 The From header is not aligned with SPF or DKIM. - gsmtp',
    ],
  },
  {
    id: 'google-reverse-dns',
    when: { site, enhanced: /^[45]\.7\.(23|25)$/ },
    category: 'reverse-dns',
    scope: 'configuration',
    samples: ['550 5.7.25 The sending IP address does not have a PTR record. - gsmtp'],
  },
  {
    id: 'google-tls-required',
    when: { site, text: /TLS (connection|required)|not sent over a TLS/i },
    category: 'tls',
    scope: 'configuration',
    // As `tls-needed` of the common rules: TLS had failed for the configured time, and may work again.
    isTemporary: true,
    samples: [
      '421 4.7.29 This message was not sent over a TLS connection. - gsmtp',
      '550 5.7.29 This message was not sent over a TLS connection. - gsmtp',
    ],
  },
  {
    id: 'google-rate-by-address',
    when: { site, enhanced: /^[45]\.7\.28$/, text: /IP (address|netblock)|netblock/i },
    category: 'rate-limited',
    scope: 'address',
    samples: ['421 4.7.28 An unusual rate of mail originates from your IP netblock. - gsmtp'],
  },
  {
    id: 'google-rate-by-link',
    when: { site, enhanced: /^[45]\.7\.28$/, text: /URL|link/i },
    category: 'rate-limited',
    scope: 'content',
    samples: ['421 4.7.28 An unusual rate of mail contains one of your URL domains. - gsmtp'],
  },
  {
    id: 'google-rate',
    when: { site, enhanced: /^[45]\.7\.28$/ },
    category: 'rate-limited',
    scope: 'account',
    samples: ['421 4.7.28 An unusual rate of mail originates from your DKIM domain. - gsmtp'],
  },
  {
    // The older words of the same, under numbers that say less.
    id: 'google-unusual-rate',
    when: { site, text: /unusual rate of .{0,60}(IP address|netblock)/i },
    category: 'rate-limited',
    scope: 'address',
    samples: [
      '421 4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address. - gsmtp',
      '550 5.7.1 Our system has detected an unusual rate of unsolicited mail originating from your IP address. - gsmtp',
    ],
  },
  {
    id: 'google-reputation-domain',
    when: { site, text: /low reputation of the sending domain|reputation of your domain/i },
    category: 'reputation',
    scope: 'account',
    samples: [
      '550 5.7.1 This message is likely unsolicited due to the very low reputation of the sending domain. - gsmtp',
    ],
  },
  {
    id: 'google-reputation-address',
    when: { site, text: /low reputation of the sending IP|suspicious due to the (very )?low reputation/i },
    category: 'reputation',
    scope: 'address',
    samples: [
      '421 4.7.0 This message is suspicious due to the very low reputation of the sending IP address. - gsmtp',
    ],
  },
  {
    id: 'google-unsolicited',
    when: { site, text: /likely unsolicited|likely suspicious/i },
    category: 'spam-content',
    scope: 'content',
    samples: ['550 5.7.1 Gmail has detected that this message is likely unsolicited mail. - gsmtp'],
  },
  {
    id: 'google-attachment',
    when: { site, code: 552, text: /security issue|attachment/i },
    category: 'attachment-refused',
    scope: 'content',
    samples: [
      '552 5.7.0 This message was blocked because its content presents a potential security issue. - gsmtp',
    ],
  },
  {
    id: 'google-malformed',
    when: {
      site,
      code: 550,
      text: /(multiple|duplicate|missing) (a valid )?(From|Message-ID|header)|RFC 5322/i,
    },
    category: 'malformed-message',
    scope: 'content',
    samples: ['550 5.7.1 This message is not RFC 5322 compliant: duplicate From headers. - gsmtp'],
  },
]

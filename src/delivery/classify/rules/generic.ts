// What the common servers say (Postfix, Exim, Sendmail, Exchange, qmail and others), by code and text.
//
// These come after the operators' own rules. The order matters: blocklists before "unknown", since both say 550 5.7.1.

import type { Rule } from '../types.ts'

export const genericRules: readonly Rule[] = [
  {
    id: 'too-many-recipients',
    when: { code: [451, 452, 552], stage: ['rcpt'], text: /too many recipients|recipients? limit/i },
    category: 'too-many-recipients',
    scope: 'configuration',
    // RFC 5321 §4.5.3.1.10: 552 to RCPT means the same as 452.
    isTemporary: true,
    samples: ['452 4.5.3 Error: too many recipients', '552 too many recipients'],
  },
  {
    id: 'greylisted',
    when: {
      code: [450, 451, 421],
      text: /gr[ae]y.?list|try again in \d+ (seconds|minutes)|temporarily deferred/i,
    },
    category: 'greylisted',
    scope: 'address',
    samples: [
      '450 4.2.0 <x@example.test>: Recipient address rejected: Greylisted, see the help page',
      '451 4.7.1 Greylisting in action, please come back later',
    ],
  },
  {
    // Checks of the reverse-path. They quote what its server said of it, which is no word about the recipient.
    id: 'sender-verification',
    when: {
      text: /sender verif(y|ication) (failed|rejected)|verification failed (for|while checking) <|callback setup failed|domain of sender address|sender address rejected(?!.{0,80}\b(spf|dkim|dmarc)\b)/i,
    },
    category: 'sender-refused',
    scope: 'account',
    samples: [
      '550 Sender verify failed',
      '450 4.1.8 <a@example.test>: Sender address rejected: Domain not found',
      '550 5.1.8 <a@example.test>: Sender address rejected: Domain not found',
      '550 5.1.0 <a@example.test>: Sender address rejected: User unknown in local recipient table',
      '550 5.1.7 <a@example.test>: Sender address rejected: undeliverable address: host mx.example.test said: 550 5.1.1 User unknown',
      '553 5.1.8 <a@example.test>... Domain of sender address a@example.test does not exist',
      '550 Verification failed for <a@example.test> Unrouteable address Sender verify failed',
      '550 Verification failed for <a@example.test> Called: 192.0.2.1 Response: 550 Recipient address rejected: User unknown',
      '550 Verification failed for <a@example.test> The account or domain may not exist, they may be blacklisted',
      '550 Callback setup failed while verifying <a@example.test> Refusing MAIL FROM:<> does not help fight spam',
    ],
  },
  {
    // A list of domains, asked about the reverse-path: not the message is to be changed.
    id: 'sender-blocklisted',
    when: { text: /sender address .{0,80}blocked using/i },
    category: 'blocklisted',
    scope: 'account',
    samples: [
      '554 5.7.1 Service unavailable; Sender address [a@example.test] blocked using dbl.spamhaus.org',
    ],
  },
  {
    id: 'helo-blocklisted',
    when: { text: /helo command .{0,80}blocked using/i },
    category: 'blocklisted',
    scope: 'address',
    samples: [
      '554 5.7.1 Service unavailable; Helo command [relay.example.test] blocked using dbl.spamhaus.org',
    ],
  },
  {
    id: 'bad-link',
    when: { text: /\b(surbl|uribl|dbl)\b|(url|link|domain) in (the )?(message|body)/i },
    category: 'bad-link',
    scope: 'content',
    samples: ['550 5.7.1 Refused, a link in the message is listed by URIBL'],
  },
  {
    id: 'blocklisted',
    when: {
      text: /spamhaus|spamcop|\b(dns)?[rb]bl\b|dnsbl|black.?list|block.?list|listed (at|in|by|on)\b|client host .{0,80}blocked/i,
    },
    category: 'blocklisted',
    scope: 'address',
    samples: [
      '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org',
      '550 Your address is listed in our blacklist',
    ],
  },
  {
    id: 'reverse-dns',
    when: { text: /reverse (dns|hostname|lookup)|PTR record|cannot find your (reverse )?hostname|rDNS/i },
    category: 'reverse-dns',
    scope: 'configuration',
    samples: [
      '450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]',
      '550 5.7.1 No PTR record for 192.0.2.1',
    ],
  },
  {
    id: 'helo-refused',
    when: { text: /\b(helo|ehlo) (command rejected|name|argument)|invalid (helo|ehlo)/i },
    category: 'policy',
    scope: 'configuration',
    samples: ['504 5.5.2 <box>: Helo command rejected: need fully-qualified hostname'],
  },
  {
    id: 'dmarc-spf-dkim',
    when: { text: /\b(dmarc|dkim|spf)\b/i },
    category: 'authentication',
    scope: 'configuration',
    samples: [
      '550 5.7.1 Email rejected per DMARC policy for example.test',
      '550 5.7.23 The message was rejected because of SPF violation',
      '550 5.7.20 No passing DKIM signature found',
    ],
  },
  {
    id: 'relay-denied',
    when: {
      text: /relay(ing)? (access )?(denied|not permitted|not allowed|prohibited)|unable to relay|not permitted to relay|do(es)? not relay|allowed rcpthosts|invalid credentials for relay/i,
    },
    category: 'relay-denied',
    scope: 'domain',
    samples: [
      '554 5.7.1 <x@example.test>: Relay access denied',
      '550 relay not permitted',
      '550 Please turn on SMTP Authentication. mx.example.test is not permitted to relay through this server without authentication',
      '550 5.7.0 Mail relay denied [192.0.2.1]. Invalid credentials for relay for one of the domains in: example.test',
      '550 5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you have registered does not match',
      '550 5.7.64 TenantAttribution; Relay Access Denied',
      '550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain',
      '550 5.7.1 We do not relay',
      "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    ],
  },
  {
    // Behind `relay-denied`: of an MX host a word about relaying says more, and a smarthost defers with either.
    id: 'login-wanted',
    when: {
      code: [550, 554],
      text: /\bsmtp.?auth(entication)?\b|without authentication|client (was |is )?not authenticated|you (are not authenticated|must authenticate)|invalid credentials|authentication (is )?required/i,
    },
    category: 'credentials',
    scope: 'configuration',
    samples: [
      '550 5.7.1 Authentication required',
      '550 SMTP authentication is required',
      '554 5.7.1 Client was not authenticated',
    ],
  },
  {
    id: 'unknown-user-lookup-failed',
    when: { code: [450, 451], text: /temporary lookup failure|verification in progress|unverified address/i },
    category: 'server-fault',
    scope: 'domain',
    samples: [
      '451 4.3.0 <x@example.test>: Temporary lookup failure',
      '450 4.1.1 Recipient address rejected: unverified address: in progress',
    ],
  },
  {
    id: 'sending-quota',
    when: {
      text: /\b(sending|sender|outgoing|outbound|hourly|daily|message count)( \S{1,40}){0,3} quota|sender .{0,40}exceed(s|ed)? .{0,20}quota/i,
    },
    category: 'rate-limited',
    scope: 'account',
    samples: [
      '450 4.7.1 You have exceeded your daily sending quota',
      '550 5.7.1 Sender has exceeded hourly quota',
      '450 4.7.1 Policy Rejection; Message count quota exceeded',
      '550 5.4.5 Daily user sending quota exceeded',
    ],
  },
  {
    id: 'mailbox-full',
    when: {
      text: /(mailbox|inbox|quota|storage)( \S{1,40}){0,3} (is )?(full|exceeded)|over.?quota|insufficient storage space for user|exceed(s|ed)? .{0,20}(quota|storage allocation|mailbox size)/i,
    },
    category: 'mailbox-full',
    scope: 'recipient',
    samples: [
      '552 5.2.2 Mailbox full',
      '452 4.2.2 User over quota',
      '550 5.2.2 Quota exceeded',
      '552 Requested mail action aborted: exceeded storage allocation',
      '552 5.2.2 The user has exceeded his mailbox size limit',
    ],
  },
  {
    id: 'mailbox-disabled',
    when: {
      code: [550, 551, 553, 554, 450, 552],
      text: /(mailbox|account|user|recipient|address)( \S{1,40}){0,3} (is )?(disabled|suspended|inactive|locked|deactivated|not active)|no longer (valid|active|exists|in use)/i,
    },
    category: 'mailbox-disabled',
    scope: 'recipient',
    samples: [
      '550 5.2.1 Mailbox is disabled',
      '550 This account has been suspended',
      '550 5.1.6 Address no longer in use',
    ],
  },
  {
    id: 'no-such-user',
    when: {
      code: [550, 551, 553, 554, 511, 521],
      text: /(user|recipient|mailbox|address|account)( \S{1,80}){0,3} (is )?(unknown|not found|does not exist|doesn't exist|not known|unavailable)|(unknown|no such|invalid|unrouteable|bad) (local )?(user|recipient|mailbox|address|account|person)|no mailbox here|not a known user|not our customer/i,
    },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: [
      '550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown in virtual mailbox table',
      '550 No such user here',
      '550 Unrouteable address',
      '550 5.1.1 The account does not exist',
      '511 sorry, no mailbox here by that name (#5.1.1)',
      '550 Requested action not taken: mailbox unavailable',
    ],
  },
  {
    // The same words to MAIL.
    id: 'no-such-sender',
    when: {
      stage: ['mail'],
      code: [550, 551, 553, 554, 511, 521],
      text: /(user|sender|mailbox|account)( \S{1,80}){0,3} (is )?(unknown|not found|does not exist|doesn't exist|not known)|(unknown|no such|invalid|unrouteable|bad) (local )?(user|sender|mailbox|address|account)/i,
    },
    category: 'sender-refused',
    scope: 'account',
    samples: ['550 No such user here', '550 Invalid sender', '553 5.1.3 bad address syntax'],
  },
  {
    id: 'virus',
    when: { text: /virus|malware|infected/i },
    category: 'virus',
    scope: 'content',
    samples: ['554 5.7.1 Message refused: contains the virus Eicar-Test'],
  },
  {
    id: 'attachment',
    when: { text: /attachment|executable content|file type/i },
    category: 'attachment-refused',
    scope: 'content',
    samples: ['552 5.7.0 This attachment type is not accepted'],
  },
  {
    id: 'spam',
    when: { text: /\bspam\b|unsolicited|\bUBE\b|junk|bulk mail (is )?(refused|rejected)/i },
    category: 'spam-content',
    scope: 'content',
    samples: ['550 5.7.1 Message rejected as spam', '554 High score: this looks like UBE'],
  },
  {
    // Before MAIL there is no content: our address is known for it.
    id: 'spam-before-mail',
    when: { stage: ['greeting', 'ehlo'], text: /\bspam\b|unsolicited|\bUBE\b|junk/i },
    category: 'reputation',
    scope: 'address',
    samples: ['554 Too much spam came from 192.0.2.1'],
  },
  {
    id: 'content-policy',
    when: { text: /content (was |is )?(rejected|denied|refused)|message content/i },
    category: 'spam-content',
    scope: 'content',
    samples: ['554 5.7.1 Message content rejected'],
  },
  {
    id: 'reputation',
    when: { text: /reputation|poor score|suspicious (activity|traffic)/i },
    category: 'reputation',
    scope: 'address',
    samples: ['550 5.7.1 Refused because of the poor reputation of your network'],
  },
  {
    id: 'too-many-connections',
    when: { text: /too many (concurrent |simultaneous )?(smtp )?(connections|sessions)|connection limit/i },
    category: 'too-many-connections',
    scope: 'address',
    samples: ['421 4.7.0 Error: too many connections from 192.0.2.1'],
  },
  {
    // Before `rate-limited`, whose words a limit of the size has too: "exceeded ... limit".
    id: 'size-limit',
    when: { text: /size limit/i },
    category: 'message-too-large',
    scope: 'content',
    samples: [
      "552 5.2.3 Your message exceeded Google's message size limits.",
      '552 5.3.4 Message exceeded maximum size limit',
    ],
  },
  {
    id: 'rate-limited',
    when: {
      text: /rate.?limit|too (many|much) (mail|messages|emails?|recipients|errors)|throttl|too fast|sending too|exceeded .{0,30}(limit|rate)|slow down/i,
    },
    category: 'rate-limited',
    scope: 'address',
    samples: [
      '450 4.7.1 Error: too much mail from 192.0.2.1',
      '421 4.7.0 Rate limit reached, slow down',
      '452 4.2.1 Throttled',
    ],
  },
  {
    id: 'message-too-large',
    when: {
      text: /(message|size|mail)( \S{1,30}){0,4} (too (large|big)|exceeds)|exceeds? .{0,30}(size|maximum)/i,
    },
    category: 'message-too-large',
    scope: 'content',
    samples: ['552 5.3.4 Message size exceeds fixed limit', '523 the message is too large'],
  },
  {
    id: 'malformed-message',
    when: {
      text: /rfc ?[25]?822|rfc 5322|malformed|missing (the )?(from|date|message-id|header)|bare (lf|cr)|line too long|invalid header/i,
    },
    category: 'malformed-message',
    scope: 'content',
    samples: ['550 5.6.0 Message is malformed: two From fields', '500 5.5.2 Line too long'],
  },
  {
    id: 'loop',
    when: { text: /too many (hops|received)|mail loop|hop count|loops? back/i },
    category: 'loop',
    scope: 'domain',
    samples: ['554 5.4.6 Too many hops', '554 5.4.0 Error: too many Received headers'],
  },
  {
    id: 'sender-domain',
    when: {
      text: /(sender|from|return.?path)( \S{1,60}){0,3} (domain|address)( \S{1,60}){0,3} (not (found|exist)|does not (exist|resolve)|has no|rejected)|sender (address )?(rejected|denied)/i,
    },
    category: 'sender-refused',
    scope: 'account',
    samples: ['550 5.1.8 Sender domain does not exist', '550 Return-Path domain has no MX record'],
  },
  {
    id: 'tls-needed',
    when: { text: /must issue a STARTTLS|(require|need)s? (a )?(TLS|STARTTLS|encrypt)|TLS (is )?required/i },
    category: 'tls',
    scope: 'configuration',
    // Said in clear text, after TLS had failed for the configured time: it may work again.
    isTemporary: true,
    samples: ['530 5.7.0 Must issue a STARTTLS command first'],
  },
  {
    id: 'credentials-needed',
    when: { code: [530, 535, 534, 538, 454], text: /authenticat|credential|log ?in|password/i },
    category: 'credentials',
    scope: 'configuration',
    samples: ['530 5.7.0 Authentication required', '535 5.7.8 Bad username or password'],
  },
  {
    id: 'server-full',
    when: {
      code: [452, 431, 552],
      text: /insufficient (system|disk)|disk (is )?full|out of (disk|memory|space)/i,
    },
    category: 'server-fault',
    scope: 'domain',
    samples: ['452 4.3.1 Insufficient system storage'],
  },
  {
    id: 'shutting-down',
    when: {
      code: 421,
      text: /shutting down|closing (transmission )?channel|service not available|timeout|timed out/i,
    },
    category: 'server-busy',
    scope: 'domain',
    samples: [
      '421 4.3.2 Service shutting down',
      '421 mx.example.test Service not available, closing transmission channel',
    ],
  },
  {
    id: 'overloaded',
    when: {
      code: [421, 450, 451, 452, 432],
      text: /busy|overload|load average|resources|try (again )?later|come back/i,
    },
    category: 'server-busy',
    scope: 'domain',
    samples: ['451 4.3.2 System overloaded, please try again later'],
  },
  {
    id: 'policy',
    when: {
      text: /polic(y|ies)|access denied|prohibited|not (allowed|authori[sz]ed|permitted)|administrative/i,
    },
    category: 'policy',
    scope: 'account',
    samples: [
      '550 5.7.1 Refused for reasons of local policy',
      '554 5.7.1 <x@example.test>: Recipient address rejected: Access denied',
    ],
  },
]

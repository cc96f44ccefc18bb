// What filtering gateways say: Proofpoint, Mimecast, Barracuda, and providers with words of their own.
//
// Those without an entry in the provider table have distinctive texts and are matched by these alone.

import type { Rule } from '../types.ts'

const proofpoint = ['proofpoint'] as const
const mimecast = ['mimecast'] as const

export const gatewayRules: readonly Rule[] = [
  {
    id: 'proofpoint-blocked',
    when: { site: proofpoint, text: /ipcheck\.proofpoint|blocked - see/i },
    category: 'blocklisted',
    scope: 'address',
    samples: ['550 5.7.1 Mail from 192.0.2.1 refused, blocked - see the lookup page'],
  },
  {
    id: 'proofpoint-deferred',
    when: { site: proofpoint, text: /deferred.{0,60}(reputation|PDR)|\bPDR\b/ },
    category: 'reputation',
    scope: 'address',
    samples: ['421 4.7.1 Deferred: temporary PDR action for your address'],
  },
  {
    id: 'proofpoint-unknown-user',
    when: { site: proofpoint, code: 550, text: /user unknown|invalid recipient|recipient rejected/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: ['550 5.1.1 <x@example.test>... User unknown', '550 5.1.1 Invalid Recipient'],
  },
  {
    id: 'mimecast-greylist',
    when: { site: mimecast, code: 451, text: /internal resources are? (temporarily )?unavailable/i },
    category: 'greylisted',
    scope: 'address',
    samples: ['451 Internal resources are temporarily unavailable - see the community page'],
  },
  {
    id: 'mimecast-temporary-block',
    when: { site: mimecast, code: 451, text: /IP .{0,40}(temporarily|currently) (blacklisted|blocked)/i },
    category: 'reputation',
    scope: 'address',
    samples: ['451 IP temporarily blacklisted: https://community.mimecast.test'],
  },
  {
    id: 'mimecast-reputation',
    when: { site: mimecast, code: 550, text: /(local CT|IP) reputation/i },
    category: 'reputation',
    scope: 'address',
    samples: ['550 local CT IP reputation policy: reject'],
  },
  {
    // The customer's lists of senders that he refuses, and of his own domains that we may not name.
    id: 'mimecast-sender',
    when: { site: mimecast, text: /rejected by header based/i },
    category: 'sender-refused',
    scope: 'account',
    samples: [
      '550 Rejected by header based Anti-Spoofing policy: a@b.test - https://community.mimecast.test',
      '550 Rejected by header based manually Blocked Senders: a@b.test',
    ],
  },
  {
    id: 'mimecast-unknown-user',
    when: { site: mimecast, code: 550, text: /invalid recipient|known address verification/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: ['550 Invalid Recipient - https://community.mimecast.test'],
  },
  {
    id: 'mimecast-administrative',
    when: {
      site: mimecast,
      text: /administrative prohibition|envelope blocked|rejected due to security policies/i,
    },
    category: 'policy',
    scope: 'account',
    samples: ['550 Administrative prohibition - envelope blocked'],
  },
  {
    id: 'barracuda-reputation',
    when: { text: /barracudacentral|barracuda reputation/i },
    category: 'blocklisted',
    scope: 'address',
    samples: ['554 Service unavailable; client blocked using Barracuda Reputation; see barracudacentral.org'],
  },
  {
    id: 'comcast-rate',
    when: { text: /\bRL0000\d\d\b/ },
    category: 'rate-limited',
    scope: 'address',
    samples: ['421 4.1.0 192.0.2.1 Throttled - try again later. RL000001'],
  },
  {
    // In the greeting, too: "spam" is meant of our address there.
    id: 'comcast-blocked',
    when: { text: /\bBL0000\d\d\b/ },
    category: 'blocklisted',
    scope: 'address',
    samples: [
      '554 mx.example.test comcast 192.0.2.1 Comcast block for spam. Please see https://postmaster.example.test/#BL000000',
    ],
  },
  {
    // Orange and La Poste; the number is said as OFR_104, OFR004_104, ofr_104 or LPN007_104.
    id: 'orange-connections',
    when: { text: /\b(OFR|LPN)(00\d)?_104\b/i },
    category: 'too-many-connections',
    scope: 'address',
    samples: ['421 mwinf5c Service refused, please try later. OFR004_104 [104]'],
  },
  {
    id: 'orange-unknown-user',
    when: { text: /\b(OFR|LPN)(00\d)?_416\b/i },
    category: 'unknown-recipient',
    scope: 'recipient',
    samples: [
      '550 5.1.1 Adresse au moins un destinataire invalide. OFR_416 OFR004_416 [416]',
      '550 5.1.1 <x@example.test>: Adresse destinataire invalide. Invalid recipient. LPN007_416',
    ],
  },
  {
    id: 'orange-spam',
    when: { text: /\b(OFR|LPN)(00\d)?_506\b/i },
    category: 'spam-content',
    scope: 'content',
    samples: [
      '550 5.2.0 Mail rejete. Mail rejected. ofr_506 [506]',
      '550 5.2.0 Mail rejete. Mail rejected. OFR_506 [506]',
    ],
  },
  {
    id: 'orange-refused',
    when: { text: /\b(OFR|LPN)(00\d)?_(10[2-9]|201|510|999)\b/i },
    category: 'reputation',
    scope: 'address',
    samples: [
      '554 mwinf5c Service refused. OFR004_510 [510]',
      '550 5.5.0 Service refuse. Veuillez essayer plus tard. service refused, please try later. LPN005_510',
    ],
  },
  {
    id: 'gmx-policy',
    when: { text: /\bNemesis ESMTP\b/ },
    category: 'policy',
    scope: 'address',
    samples: ['554 gmx.net (mxgmx016) Nemesis ESMTP Service not available. No SMTP service, bad DNS PTR'],
  },
  {
    id: 'qq-frequency',
    when: { text: /(ip|domain|sender|connection) frequency limited/i },
    category: 'rate-limited',
    scope: 'address',
    isTemporary: true,
    samples: ['550 Ip frequency limited [AAaBBb IP: 192.0.2.1]. https://service.example.test'],
  },
  {
    id: 'netease-spam',
    when: { text: /\bDT:SPM\b/ },
    category: 'spam-content',
    scope: 'content',
    samples: ['554 DT:SPM 163 mx1, please see the help page'],
  },
  {
    id: 'netease-limit',
    when: { text: /\b(RP:ORQ|HL:ITC|RP:QRC|RP:CEL)\b/ },
    category: 'rate-limited',
    scope: 'address',
    isTemporary: true,
    samples: ['550 RP:ORQ 163 mx2, daily limit'],
  },
  {
    id: 't-online-blocked',
    when: { text: /tosa@rx\.t-online\.de/i },
    category: 'blocklisted',
    scope: 'address',
    samples: ['554 IP=192.0.2.1 - A problem occurred. Ask tosa@rx.t-online.de for help. (BL)'],
  },
  {
    id: 'ses-throttling',
    when: { code: 454, text: /throttling failure|sending rate exceeded/i },
    category: 'rate-limited',
    scope: 'account',
    samples: ['454 Throttling failure: Maximum sending rate exceeded.'],
  },
]

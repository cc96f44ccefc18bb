// The receiving programs: which versions are tested, and what each changes by itself in mails of the corpus.
//
// A change stands here only because the test saw the same bytes come out when the mail was handed to the program
// directly, without Postrider (`receivers.test.ts`); and a change that no longer happens fails the test too.
// docs/reference/interoperability.md is generated from this table.

/** What a program does to mail that passes through it. */
export interface OwnChange {
  readonly what: string
  /** Names of the mails of the corpus that come out changed. */
  readonly samples: readonly string[]
}

export interface ReceivingProgram {
  readonly title: string
  /** As far as it matters here: distribution patches may follow. */
  readonly version: string
  /** Where its log says the version at start. */
  readonly logsVersion: RegExp
  readonly changes: readonly OwnChange[]
}

const addsEmptyLine: OwnChange = {
  what: 'adds the empty line behind a header that ends the mail',
  samples: [
    'only a header, without the blank line',
    'only From, without the blank line',
    'no line end behind the header',
  ],
}

const takesBlanksBeforeColon: OwnChange = {
  what: 'takes out blanks before the colon of a field',
  samples: ['blanks before the colon'],
}

export type ProgramName = 'postfix' | 'exim' | 'opensmtpd' | 'sendmail' | 'smtpServer'

export const programs: Readonly<Record<ProgramName, ReceivingProgram>> = {
  postfix: {
    title: 'Postfix',
    version: '3.7',
    logsVersion: /daemon started -- version (\S+),/,
    changes: [takesBlanksBeforeColon],
  },
  exim: {
    title: 'Exim',
    version: '4.96',
    logsVersion: /exim (\S+) daemon started/,
    changes: [
      addsEmptyLine,
      {
        what: 'takes out a last fold of blanks alone',
        samples: ['a field that ends in a fold of blanks alone'],
      },
      {
        what: 'takes out Return-Path, Envelope-To and Delivery-Date',
        samples: ['a return path and an envelope'],
      },
    ],
  },
  opensmtpd: {
    title: 'OpenSMTPD',
    version: '6.8.0',
    logsVersion: /OpenSMTPD (\S+) starting/,
    changes: [
      {
        what: 'completes addresses without a domain by its own name',
        samples: ['recipients without domains'],
      },
    ],
  },
  sendmail: {
    title: 'sendmail',
    version: '8.17.1',
    logsVersion: /Sendmail (\S+?)\/[^ ]+;/,
    changes: [
      addsEmptyLine,
      takesBlanksBeforeColon,
      {
        what: 'takes out Return-Path, Content-Length and Full-Name',
        samples: ['a return path and an envelope', 'marks of mailboxes', 'fields that sendmail fills in'],
      },
      {
        what: 'writes address fields anew: folds, source routes, missing domains',
        samples: [
          'sender and many reply addresses',
          'five hundred recipients in one field',
          'recipients without domains',
          'recipients in odd forms',
        ],
      },
      {
        what: 'ends the header at a field with a very long name',
        samples: ['names of one letter and of two hundred'],
      },
      {
        what: 'cuts long or unreadable parameters of Content-Type',
        samples: ['an unreadable type', 'a type of a thousand parameters'],
      },
      {
        what: 'closes multiparts that are open, and writes odd or deep boundaries anew',
        samples: [
          'parts in parts, 30 deep',
          'parts in parts, 90 deep',
          'parts in parts, 300 deep',
          'parts without a blank line',
          'nothing but a preamble',
          'no closing boundary',
          'boundaries with blanks behind them',
          'a boundary of seventy odd characters',
          'multipart without a boundary',
        ],
      },
    ],
  },
  smtpServer: {
    title: 'smtp-server (npm)',
    version: '3.21',
    logsVersion: /^smtp-server (\S+)/m,
    changes: [],
  },
}

// The judges as they are tested: versions, and mails of which one errs.
//
// A mail stands here only because the judge refuses it from another signer, too (`dkim.test.ts`); and the test fails as
// soon as it no longer does. docs/reference/interoperability.md is generated from this table.

export interface JudgeProgram {
  readonly version: string
  /** Prints a text with the version in it. */
  readonly versionCommand: readonly [command: string, ...args: string[]]
  /** Mail::DKIM of Debian 12 does not know Ed25519 and says so. */
  readonly knowsEd25519: boolean
  readonly errs: readonly { readonly how: string; readonly samples: readonly string[] }[]
}

export type JudgeName = 'OpenDKIM' | 'dkimpy' | 'Mail::DKIM' | 'mailauth' | 'rspamd'

export const judgePrograms: Readonly<Record<JudgeName, JudgeProgram>> = {
  OpenDKIM: {
    version: '2.11',
    versionCommand: ['/usr/sbin/opendkim', '-V'],
    knowsEd25519: true,
    errs: [
      { how: 'reads no tab before a colon', samples: ['blanks before the colon'] },
      { how: 'reads no field over 64 KiB', samples: ['one field of 100 KiB'] },
    ],
  },
  dkimpy: {
    version: '1.1.4',
    versionCommand: ['dpkg-query', '-W', 'python3-dkim'],
    knowsEd25519: true,
    errs: [{ how: 'reads no blanks before a colon', samples: ['blanks before the colon'] }],
  },
  'Mail::DKIM': {
    version: '1.20230212',
    versionCommand: ['perl', '-MMail::DKIM', '-e', 'print $Mail::DKIM::VERSION'],
    knowsEd25519: false,
    errs: [],
  },
  mailauth: {
    version: '7.1',
    versionCommand: [process.execPath, '-p', "require('mailauth/package.json').version"],
    knowsEd25519: true,
    errs: [],
  },
  rspamd: {
    version: '3.4',
    versionCommand: ['/usr/bin/rspamd', '--version'],
    knowsEd25519: true,
    errs: [
      {
        how: 'counts a body of one line of blanks as more than an empty one',
        samples: ['a body of one blank', 'a body of one tab'],
      },
      {
        how: 'counts form feeds as white space',
        samples: ['control characters', 'form feeds and vertical tabs', 'yEnc'],
      },
      {
        how: 'loses track where a field that may be there once is there twice',
        samples: ['two subjects', 'two dates and two recipients fields', 'two message ids'],
      },
    ],
  },
}

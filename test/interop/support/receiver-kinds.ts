// Recipients' servers for the corpus: programs in the configurations that decide which way the bytes take.

import {
  type Receiver,
  type ReceiverOptions,
  startEximReceiver,
  startOpenSmtpdReceiver,
  startPostfixReceiver,
  startSendmailReceiver,
  startSmtpServerReceiver,
} from '../../support/peers/index.ts'
import type { ProgramName } from './programs.ts'

/** A recipients' server. */
export interface Kind {
  readonly name: string
  readonly program: ProgramName
  readonly domain: string
  readonly address: string
  readonly start: (options: ReceiverOptions) => Promise<Receiver>
  readonly hasTls: boolean
  readonly hasUtf8: boolean
  /** What its log must show, and must not show, after the corpus. */
  readonly shows: readonly RegExp[]
  readonly hides: readonly RegExp[]
}

const bare = 'smtpd_discard_ehlo_keywords = chunking, pipelining, dsn, smtputf8, size'

export const kinds: readonly Kind[] = [
  {
    name: 'Postfix with STARTTLS',
    program: 'postfix',
    domain: 'postfix-tls.test',
    address: '127.0.0.21',
    start: startPostfixReceiver,
    hasTls: true,
    hasUtf8: true,
    shows: [/disconnect from .* starttls=1 .*bdat=\d/],
    hides: [/ data=/, /improper command pipelining/],
  },
  {
    name: 'Postfix without STARTTLS',
    program: 'postfix',
    domain: 'postfix.test',
    address: '127.0.0.22',
    start: startPostfixReceiver,
    hasTls: false,
    hasUtf8: true,
    shows: [/disconnect from .* bdat=\d/],
    hides: [/starttls=/, / data=/, /improper command pipelining/],
  },
  {
    name: 'Postfix that offers little more than 8BITMIME',
    program: 'postfix',
    domain: 'postfix-bare.test',
    address: '127.0.0.23',
    start: options => startPostfixReceiver({ ...options, extraMainCf: bare }),
    hasTls: false,
    hasUtf8: false,
    shows: [/disconnect from .* data=\d/],
    hides: [/starttls=/, /bdat=/, /improper command pipelining/],
  },
  {
    name: 'Exim with STARTTLS',
    program: 'exim',
    domain: 'exim-tls.test',
    address: '127.0.0.24',
    start: startEximReceiver,
    hasTls: true,
    hasUtf8: true,
    shows: [/<= ann@acme\.example .*P=esmtps X=TLS1\.3:.* K /],
    hides: [/P=esmtp /, /synchronization error/],
  },
  {
    name: 'Exim without STARTTLS',
    program: 'exim',
    domain: 'exim.test',
    address: '127.0.0.25',
    start: startEximReceiver,
    hasTls: false,
    hasUtf8: true,
    shows: [/<= ann@acme\.example .*P=esmtp K /],
    hides: [/P=esmtps/, /synchronization error/],
  },
  {
    name: 'OpenSMTPD with STARTTLS',
    program: 'opensmtpd',
    domain: 'opensmtpd-tls.test',
    address: '127.0.0.32',
    start: options => startOpenSmtpdReceiver({ ...options, isTlsOnly: true }),
    hasTls: true,
    hasUtf8: false,
    shows: [/smtp tls ciphers=TLSv1\.3:[\s\S]*smtp message .*proto=ESMTPS?\b/],
    hides: [/failed-command/, /io-error/],
  },
  {
    name: 'OpenSMTPD without STARTTLS',
    program: 'opensmtpd',
    domain: 'opensmtpd.test',
    address: '127.0.0.26',
    start: startOpenSmtpdReceiver,
    hasTls: false,
    hasUtf8: false,
    shows: [/smtp message .*proto=ESMTP\b[\s\S]*smtp disconnected reason=quit/],
    hides: [/smtp tls/, /failed-command/],
  },
  {
    name: 'sendmail with STARTTLS',
    program: 'sendmail',
    domain: 'sendmail-tls.test',
    address: '127.0.0.28',
    start: startSendmailReceiver,
    hasTls: true,
    hasUtf8: false,
    shows: [/>>> 220 2\.0\.0 Ready to start TLS/, /<<< MAIL FROM:<ann@acme\.example> .*BODY=8BITMIME/],
    hides: [/>>> [45]\d\d [45]\.[^4]/],
  },
  {
    name: 'sendmail without STARTTLS',
    program: 'sendmail',
    domain: 'sendmail.test',
    address: '127.0.0.29',
    start: startSendmailReceiver,
    hasTls: false,
    hasUtf8: false,
    shows: [/<<< MAIL FROM:<ann@acme\.example> .*BODY=8BITMIME/],
    hides: [/>>> 250-STARTTLS/, />>> [45]\d\d [45]\.[^4]/],
  },
  {
    name: 'smtp-server with STARTTLS',
    program: 'smtpServer',
    domain: 'smtp-server.test',
    address: '127.0.0.30',
    start: startSmtpServerReceiver,
    hasTls: true,
    hasUtf8: true,
    shows: [/message proto=ESMTPS/],
    hides: [/secure=false/, /error/],
  },
]

// Failures that we declare without a word of the peer: their codes, texts and what they speak of, in one place.
//
// Codes as RFC 3463 §3 has them; each text says what is wrong and what would help.

import type { OutcomeScope, OutcomeStage } from '../events/index.ts'
import type { WaitReason } from '../queue/index.ts'
import type { Category } from './classify/index.ts'

/** A decision of ours about a recipient. */
export interface LocalFailure {
  readonly code: number
  readonly enhanced: string
  readonly text: string
  readonly stage: OutcomeStage
  readonly category: Category
  readonly scope: OutcomeScope
  /** Of 4xx codes; `next-attempt` by default. */
  readonly waitReason?: WaitReason
}

function failure(
  code: number,
  enhanced: string,
  stage: OutcomeStage,
  category: Category,
  scope: OutcomeScope,
  text: string,
): LocalFailure {
  return { code, enhanced, text, stage, category, scope }
}

/** Makers of the failures. 4xx codes are tried again. */
export const localFailures = {
  tooLarge: (sizeBytes: number, sizeBytesMax: number): LocalFailure =>
    failure(
      552,
      '5.3.4',
      'mail',
      'message-too-large',
      'content',
      `the message has ${sizeBytes} bytes and the recipient's server takes ${sizeBytesMax}; send a link instead of the attachment`,
    ),
  utf8: (what: 'reverse-path' | 'forward-path' | 'header'): LocalFailure =>
    failure(
      553,
      '5.6.7',
      'mail',
      'encoding',
      what === 'forward-path' ? 'recipient' : 'content',
      `the ${what} needs SMTPUTF8, which the recipient's server does not offer; use ASCII for it`,
    ),
  cannotEncode: (why: string): LocalFailure =>
    failure(
      554,
      '5.6.3',
      'mail',
      'encoding',
      'content',
      `the recipient's server takes no 8-bit content and this one cannot be re-encoded: ${why}`,
    ),
  noRoomToEncode: (): LocalFailure =>
    failure(
      451,
      '4.3.1',
      'queue',
      'other',
      'configuration',
      "the recipient's server takes no 8-bit content, and too many large messages are being re-encoded for such servers now",
    ),
  cannotSign: (): LocalFailure => ({
    ...failure(
      451,
      '4.7.7',
      'mail',
      'authentication',
      'configuration',
      'the message could not be signed for its domain; it is not sent unsigned',
    ),
    waitReason: 'unsigned',
  }),
  unreadableRoute: (route: string): LocalFailure =>
    failure(
      451,
      '4.3.5',
      'route',
      'routing',
      'configuration',
      `the message was rerouted to ${JSON.stringify(route.slice(0, 80))}, which is no smarthost; give another one: postrider queue reroute`,
    ),
  // Never for good: it may lie on a disk that is not mounted.
  contentGone: (): LocalFailure =>
    failure(
      451,
      '4.3.0',
      'queue',
      'other',
      'configuration',
      'the content of the message is not in the store; if the segments have a disk of their own, is it mounted?',
    ),
  fault: (error: unknown): LocalFailure =>
    failure(
      451,
      '4.3.0',
      'queue',
      'other',
      'configuration',
      `a fault here, not at the recipient's server: ${error instanceof Error ? error.message : String(error)}`,
    ),
  refused: (code: string, message: string): LocalFailure => {
    if (code === 'UNSAFE_CONTENT' || code === 'CONTENT_LENGTH')
      return failure(554, '5.6.0', 'data', 'malformed-message', 'content', message)
    // What was re-encoded has grown: its size is known only when it is to be sent.
    if (code === 'SIZE_EXCEEDED')
      return failure(552, '5.3.4', 'mail', 'message-too-large', 'content', message)
    return failure(553, '5.1.3', 'mail', 'malformed-message', 'configuration', message)
  },
  connectionLost: (message: string, isTimeout: boolean, stage: OutcomeStage): LocalFailure =>
    failure(451, '4.4.2', stage, isTimeout ? 'timeout' : 'connection-lost', 'domain', message),
  expiredUnsent: (): LocalFailure =>
    failure(
      554,
      '5.4.7',
      'queue',
      'expired',
      'domain',
      'the message expired before its next attempt could be made',
    ),
} as const

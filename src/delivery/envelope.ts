// From a batch to the envelope of a transaction: recipients with their DSN parameters (RFC 3461),
// as far as the peer offers DSN.
//
// Hot path: without DSN parameters nothing but the forward-path is made.

import type { SmtpTransaction, TransactionRecipient } from '../protocol/smtp/client/index.ts'
import { type LeasedMessage, type LeasedRecipient, notifyBits } from '../queue/index.ts'

type NotifyWord = 'SUCCESS' | 'FAILURE' | 'DELAY'

const words: readonly [number, NotifyWord][] = [
  [notifyBits.success, 'SUCCESS'],
  [notifyBits.failure, 'FAILURE'],
  [notifyBits.delay, 'DELAY'],
]

/** NOTIFY words by bits; an empty list is NEVER. */
const notifyLists: readonly (readonly NotifyWord[])[] = Array.from({ length: 8 }, (_, bits) =>
  words.filter(([bit]) => (bits & bit) !== 0).map(([, word]) => word),
)

/** The recipients as the client wants them. */
export function transactionRecipients(
  recipients: readonly LeasedRecipient[],
  hasDsn: boolean,
): TransactionRecipient[] {
  return recipients.map(one => (hasDsn ? withDsn(one) : { forwardPath: one.forwardPath }))
}

function withDsn({ forwardPath, notify, originalRecipient }: LeasedRecipient): TransactionRecipient {
  if (notify === notifyBits.notSaid && originalRecipient === '') return { forwardPath }
  const at = originalRecipient.indexOf(';')
  return {
    forwardPath,
    ...(notify === notifyBits.notSaid ? {} : { notify: notifyLists[notify & 7]! }),
    ...(at < 0
      ? {}
      : {
          originalRecipient: {
            type: originalRecipient.slice(0, at),
            address: originalRecipient.slice(at + 1),
          },
        }),
  }
}

/** MAIL parameters of a message. */
export function transactionParameters(
  { ret, envelopeId }: LeasedMessage,
  isEightBit: boolean,
  isSmtpUtf8: boolean,
): SmtpTransaction['parameters'] {
  if (ret === '' && envelopeId === '') return { isEightBit, isSmtpUtf8 }
  return {
    isEightBit,
    isSmtpUtf8,
    ...(ret === '' ? {} : { ret }),
    ...(envelopeId === '' ? {} : { envelopeId }),
  }
}

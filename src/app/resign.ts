// Signs again what had to change on the way out (a peer without 8BITMIME): the Resigner port of delivery.
//
// The prefix of the message holds our signatures, our Received and the fields that we added. The old signatures of ours
// go, everything else stays, and new signatures over the changed content come first. Fails closed: null means do not send.

import { formatMessageId } from '../base/index.ts'
import type { Resigner } from '../delivery/index.ts'
import type { SignatureMaker } from '../intake/index.ts'
import { BodyHasher } from '../protocol/auth/dkim/index.ts'
import {
  fieldsInOrder,
  fieldsNamed,
  fieldValue,
  parseFromField,
  scanHeaderBlock,
  withoutFields,
} from '../protocol/mail/index.ts'
import type { LeasedMessage } from '../queue/index.ts'
import type { Log } from '../telemetry/index.ts'

const signatureNames: ReadonlySet<string> = new Set(['dkim-signature'])
const blankLine = Buffer.from('\r\n\r\n')

/** Signs with the keys that the From domain has now. */
export class Resign implements Resigner {
  readonly #signatures: SignatureMaker
  readonly #log: Log

  constructor(signatures: SignatureMaker, log: Log) {
    this.#signatures = signatures
    this.#log = log
  }

  async resign(message: LeasedMessage, changedContent: Buffer): Promise<Buffer | null> {
    const prefix = scanHeaderBlock(message.prefix)
    const { header, body } = splitContent(changedContent)
    const block = scanHeaderBlock(header, { sizeBytesMax: header.length, fieldsMax: 2000 })
    if (prefix.kind !== 'scanned' || block.kind !== 'scanned')
      return this.#fail(message, 'its header cannot be read')
    const kept = withoutFields(prefix.block, signatureNames)
    const from = fieldsNamed(block.block, 'from')[0]
    const mailbox = from === undefined ? null : parseFromField(fieldValue(from))
    if (mailbox?.kind !== 'parsed') return this.#fail(message, 'its From cannot be read')
    const keys = this.#signatures.keysFor(message.accountKey, mailbox.mailbox.domain)
    if ('kind' in keys) return this.#fail(message, keys.text)
    if (keys.length === 0) return kept.bytes
    const hasher = new BodyHasher()
    hasher.push(body)
    const signed = this.#signatures.sign(keys, fieldsInOrder(kept, block.block), hasher.digest())
    return 'kind' in signed ? this.#fail(message, signed.text) : Buffer.concat([signed, kept.bytes])
  }

  #fail(message: LeasedMessage, why: string): null {
    this.#log.event('message.rejected', {
      id: formatMessageId(message.id),
      reason: 'signing-failed',
      detail: why,
    })
    return null
  }
}

function splitContent(content: Buffer): { header: Buffer; body: Buffer } {
  if (content[0] === 13 && content[1] === 10)
    return { header: content.subarray(0, 2), body: content.subarray(2) }
  const at = content.indexOf(blankLine)
  const end = at < 0 ? content.length : at + blankLine.length
  return { header: content.subarray(0, end), body: content.subarray(end) }
}

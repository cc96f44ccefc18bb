// Signs again what had to change on the way out (a peer without 8BITMIME): the Resigner port of delivery.
//
// The prefix of the message holds our signatures, our Received and the fields that we added. The old signatures of ours
// go, everything else stays, and new signatures over the changed content come first. Fails closed: null means do not send.

import { type Clock, formatMessageId } from '../base/index.ts'
import type { Resigner } from '../delivery/index.ts'
import type { SignatureMaker } from '../intake/index.ts'
import { BodyHasher } from '../protocol/auth/dkim/index.ts'
import {
  fieldsInOrder,
  fieldsNamed,
  fieldValue,
  inBlocks,
  Pacer,
  parseFromField,
  scanHeaderBlock,
  withoutFields,
} from '../protocol/mail/index.ts'
import type { LeasedMessage, PrefixedMessage } from '../queue/index.ts'
import { type Log, LogThrottle } from '../telemetry/index.ts'

const signatureNames: ReadonlySet<string> = new Set(['dkim-signature'])

/** Signs with the keys that the From domain has now. */
export class Resign implements Resigner {
  readonly #signatures: SignatureMaker
  readonly #log: Log
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #throttle: LogThrottle = new LogThrottle()

  constructor(signatures: SignatureMaker, log: Log, clock: Pick<Clock, 'monotonicMs'>) {
    this.#signatures = signatures
    this.#log = log
    this.#clock = clock
  }

  async resign(message: PrefixedMessage, header: Buffer, body: readonly Buffer[]): Promise<Buffer | null> {
    const prefix = scanHeaderBlock(message.prefix)
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
    const signed = await this.#signatures.sign(keys, fieldsInOrder(kept, block.block), await hashBody(body))
    return 'kind' in signed ? this.#fail(message, signed.text) : Buffer.concat([signed, kept.bytes])
  }

  #fail(message: LeasedMessage, why: string): null {
    const leftOut = this.#throttle.pass('signing-failed', this.#clock.monotonicMs())
    if (leftOut === null) return null
    const fields = { id: formatMessageId(message.id), reason: 'signing-failed', detail: why }
    this.#log.event('message.rejected', leftOut === 0 ? fields : { ...fields, leftOut })
    return null
  }
}

/** A large body in slices: its hash takes longer than the event loop may be held. */
async function hashBody(body: readonly Buffer[]): Promise<Buffer> {
  const hasher = new BodyHasher()
  const pacer = new Pacer()
  for (const block of inBlocks(body)) {
    hasher.push(block)
    if (pacer.isDue) await pacer.pause()
  }
  return hasher.digest()
}

// Prepares the header block of a submission: what must not leave is taken out, what is missing is added.
//
// Step 2 of the plan in submission.ts. The content keeps its own header bytes (less Bcc); added fields go into the
// prefix that is sent before them.

import type { Clock, MessageId } from '../base/index.ts'
import {
  countFields,
  fieldsNamed,
  fieldValue,
  formatDateField,
  formatMessageIdentifier,
  formatMessageIdField,
  type HeaderBlock,
  type HeaderField,
  hiddenRecipientFields,
  scanHeaderBlock,
  withoutFields,
} from '../protocol/mail/index.ts'
import { type Refusal, refuse } from './refusal.ts'

/** A header block ready to be signed and stored. */
export interface PreparedHeader {
  readonly kind: 'prepared'
  /** The content's own block, Bcc removed; ends in the blank line when the content had one. */
  readonly block: HeaderBlock
  /** Fields that we add, each with its CRLF; they go into the prefix. */
  readonly added: Buffer
  /** The added fields scanned, for the signer. */
  readonly addedFields: readonly HeaderField[]
  /** Message-ID as it will be sent, with brackets. */
  readonly headerMessageId: string
}

/** Scans the block; a refusal names what a strict receiver would stumble over. */
export function readHeader(bytes: Buffer, sizeBytesMax: number, fieldsMax: number): HeaderBlock | Refusal {
  const scan = scanHeaderBlock(bytes, { sizeBytesMax, fieldsMax })
  if (scan.kind === 'too-large')
    return refuse('header-too-large', `the header is larger than ${sizeBytesMax} bytes`)
  if (scan.kind === 'too-many-fields')
    return refuse('header-too-many-fields', `the header has more than ${scan.fieldsMax} fields`)
  // Servers end the header at a line that is no field, or join it to the field above, which would be ours: they would
  // see another message than the one that was checked and signed.
  const stray = scan.block.fields.find(field => field.name === '')
  if (stray === undefined) return scan.block
  const line = countLines(bytes, stray.start) + 1
  return refuse(
    'header-malformed',
    `line ${line} of the header is no field (name: value); write an empty line between header and body`,
  )
}

function countLines(bytes: Buffer, end: number): number {
  let count = 0
  for (let at = bytes.indexOf('\r\n'); at >= 0 && at < end; at = bytes.indexOf('\r\n', at + 2)) count++
  return count
}

/** Takes Bcc out; adds Message-ID and Date when they are missing (RFC 6409 §8.3, §8.2). */
export function prepareHeader(
  block: HeaderBlock,
  id: MessageId,
  hostname: string,
  clock: Clock,
): PreparedHeader {
  const kept = withoutFields(block, hiddenRecipientFields)
  const own = fieldsNamed(kept, 'message-id')[0]
  const parts: Buffer[] = []
  let headerMessageId = own === undefined ? '' : fieldValue(own)
  if (own === undefined) {
    headerMessageId = formatMessageIdentifier(id, hostname)
    parts.push(formatMessageIdField(headerMessageId))
  }
  if (countFields(kept, 'date') === 0) parts.push(formatDateField(clock.nowMs()))
  if (parts.length === 0)
    return { kind: 'prepared', block: kept, added: Buffer.alloc(0), addedFields: [], headerMessageId }
  const added = Buffer.concat(parts)
  const scan = scanHeaderBlock(added)
  const addedFields = scan.kind === 'scanned' ? scan.block.fields : []
  return { kind: 'prepared', block: kept, added, addedFields, headerMessageId }
}

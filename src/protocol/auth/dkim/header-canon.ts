// Relaxed header canonicalisation of DKIM (RFC 6376 §3.4.2) and the choice of the fields that are signed.
//
// Place on the path: called once a message by the signer, whatever the number of signatures.
// Invariants: the canonical form of a field is never longer than the field; signed instances of a name are
// taken from the bottom up (RFC 6376 §5.4.2).

import type { HeaderField } from '../../mail/index.ts'

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const TAB = 0x09

/**
 * Writes the relaxed form of a field into `out` at `at`, ending in CRLF; gives the offset behind it.
 * `out` needs room for the field's bytes and two more.
 */
export function canonicaliseField(field: HeaderField, out: Buffer, at: number): number {
  let used = at + out.write(`${field.name}:`, at, 'latin1')
  const valueStart = used
  const { source, end } = field
  let pendingWsp = false
  for (let i = field.valueStart; i < end; i++) {
    const byte = source[i]!
    if (byte === SP || byte === TAB) pendingWsp = true
    else if (byte === CR && source[i + 1] === LF) i++
    else {
      if (pendingWsp && used > valueStart) out[used++] = SP
      pendingWsp = false
      out[used++] = byte
    }
  }
  out[used++] = CR
  out[used++] = LF
  return used
}

/** The relaxed forms of the fields, one after the other. */
export function canonicaliseFields(fields: readonly HeaderField[]): Buffer {
  let room = 0
  for (const field of fields) room += field.end - field.start + 2
  const out = Buffer.allocUnsafe(room)
  let used = 0
  for (const field of fields) used = canonicaliseField(field, out, used)
  return out.subarray(0, used)
}

/** What a signature covers: the names of `h=` in order, and the fields that they stand for. */
export interface SignedFields {
  readonly names: readonly string[]
  readonly fields: readonly HeaderField[]
}

/**
 * Names that are signed and named once more than they occur, so that adding another breaks the signature:
 * everything that a recipient sees or a mailbox provider acts upon.
 */
export const oversignedNames: readonly string[] = [
  'From',
  'To',
  'Cc',
  'Subject',
  'Date',
  'Reply-To',
  'Message-ID',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
  'CFBL-Address',
  'CFBL-Feedback-ID',
]

/** Names that are signed where present; lists and gateways may add one of their own. */
export const signedNames: readonly string[] = [
  'Sender',
  'In-Reply-To',
  'References',
  'Auto-Submitted',
  'List-Id',
  'List-Help',
  'List-Subscribe',
  'List-Post',
  'List-Owner',
  'List-Archive',
  'Feedback-ID',
  'TLS-Required',
]

/** Chooses what to sign: all instances of both lists, and one absent instance more of the first list. */
export function chooseSignedFields(fields: readonly HeaderField[]): SignedFields {
  const byName = new Map<string, HeaderField[]>()
  for (const field of fields) {
    const same = byName.get(field.name)
    if (same === undefined) byName.set(field.name, [field])
    else same.push(field)
  }
  const names: string[] = []
  const signed: HeaderField[] = []
  const add = (list: readonly string[], extra: number): void => {
    for (const name of list) {
      const same = byName.get(name.toLowerCase()) ?? []
      for (let i = same.length - 1; i >= 0; i--) signed.push(same[i]!)
      for (let i = 0; i < same.length + extra; i++) names.push(name)
    }
  }
  add(oversignedNames, 1)
  add(signedNames, 0)
  return { names, fields: signed }
}

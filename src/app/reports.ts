// DSN mails as messages: identity, trace and signature for what delivery drafts.
//
// A report is from mailer-daemon at our own name. It is signed when the operator has a key of his own; there is no
// account domain that could sign for us.

import { formatMessageId, type IdGenerator } from '../base/index.ts'
import { type ReportDraft, type ReportIdentity, reportMessage } from '../delivery/index.ts'
import { BodyHasher, type DkimKey, signMessageAsync } from '../protocol/auth/dkim/index.ts'
import { scanHeaderBlock } from '../protocol/mail/index.ts'
import type { NewMessage } from '../queue/index.ts'

const blankLine = Buffer.from('\r\n\r\n')

/** Who reports. */
export function reportIdentity(hostname: string, ids: IdGenerator): ReportIdentity {
  return {
    host: hostname,
    from: `mailer-daemon@${hostname}`,
    nextId() {
      const bytes = ids.next()
      return { bytes, text: formatMessageId(bytes) }
    },
  }
}

/** Makes the message of a draft; unsigned when there is no operator's key, null when signing failed. */
export async function makeReport(
  draft: ReportDraft,
  keys: readonly DkimKey[],
  expireMs: number,
): Promise<NewMessage | null> {
  if (keys.length === 0) return reportMessage(draft, { prefix: Buffer.alloc(0), signedBy: [], expireMs })
  const { content, createdAtMs } = draft
  const bodyAt = content.indexOf(blankLine) + blankLine.length
  const header = scanHeaderBlock(content.subarray(0, bodyAt))
  if (header.kind !== 'scanned') return null
  const hasher = new BodyHasher()
  hasher.push(content.subarray(bodyAt))
  const signed = await signMessageAsync({
    headerFields: header.block.fields,
    bodyHash: hasher.digest(),
    keys,
    signedAtMs: createdAtMs,
  })
  if (signed.kind === 'failed') return null
  const signedBy = keys.map(key => `${key.domain}=${key.selector}`)
  return reportMessage(draft, { prefix: signed.signatures, signedBy, expireMs })
}

// DSN mails as messages: identity, trace and signature for what delivery drafts.
//
// A report is from mailer-daemon at our own name. It is signed when the operator has a key of his own; there is no
// account domain that could sign for us. One that cannot be signed now is stored without, and signed at its attempt.

import { formatMessageId, type IdGenerator } from '../base/index.ts'
import { type ReportDraft, type ReportIdentity, reportMessage } from '../delivery/index.ts'
import { BodyHasher, type DkimKey, type SignResult, signMessageAsync } from '../protocol/auth/dkim/index.ts'
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

const unsigned = { prefix: Buffer.alloc(0), signedBy: [] }

/**
 * Makes the message of a draft; unsigned when there is no operator's key, to be signed later when it cannot be now.
 * @param onFault told why it could not be signed
 */
export async function makeReport(
  draft: ReportDraft,
  keys: readonly DkimKey[],
  expireMs: number,
  onFault: (error: Error) => void,
): Promise<NewMessage> {
  if (keys.length === 0) return reportMessage(draft, { ...unsigned, expireMs })
  const signed = await sign(draft, keys)
  if (signed.kind === 'failed') {
    onFault(new Error(`a report is signed at its attempt, since it could not be now: ${signed.why}`))
    return reportMessage(draft, { ...unsigned, expireMs, isUnsigned: true })
  }
  const signedBy = keys.map(key => `${key.domain}=${key.selector}`)
  return reportMessage(draft, { prefix: signed.signatures, signedBy, expireMs })
}

async function sign({ content, createdAtMs }: ReportDraft, keys: readonly DkimKey[]): Promise<SignResult> {
  const bodyAt = content.indexOf(blankLine) + blankLine.length
  const header = scanHeaderBlock(content.subarray(0, bodyAt))
  if (header.kind !== 'scanned') return { kind: 'failed', why: 'its header cannot be read' }
  const hasher = new BodyHasher()
  hasher.push(content.subarray(bodyAt))
  return await signMessageAsync({
    headerFields: header.block.fields,
    bodyHash: hasher.digest(),
    keys,
    signedAtMs: createdAtMs,
  })
}

/**
 * What stands beside a mail server and is asked about each recipient, as a greylist is. Postfix and Exim ask by
 * themselves; the others each have a door of their own for it, behind which stands a policy in the test's process.
 */

/** Who hands in what for whom. */
export interface RcptQuestion {
  readonly clientAddress: string
  readonly helo: string
  /** Paths without angle brackets; the null reverse-path is empty. */
  readonly from: string
  readonly to: string
}

/** Why a recipient is not taken. */
export interface RcptRefusal {
  readonly code: number
  readonly enhancedCode: string
  readonly text: string
}

/** Answers undefined when the recipient may be taken. */
export type RcptPolicy = (question: RcptQuestion) => Promise<RcptRefusal | undefined>

/** `<a@b> SIZE=3` and `<a@b>` → `a@b`. */
export function pathOf(text: string): string {
  return text.replace(/^<(.*?)>(?: .*)?$/, '$1')
}

/** A refusal as the line that the client gets. */
export function replyOf({ code, enhancedCode, text }: RcptRefusal): string {
  return `${code} ${enhancedCode} ${text}`
}

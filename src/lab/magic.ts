// Magic addresses: what the local part of a recipient makes the lab's hosts do. They work under every domain.
//
// The table is the documentation too (docs/reference/lab.md). A `+tag` behind the magic word changes nothing but makes
// another address, with counts of its own. What is not in the table is accepted.

import { type SmtpReply, smtpReply } from '../protocol/smtp/index.ts'

/** Where a connection can be cut for a recipient. */
export type DropStage = 'rcpt' | 'data' | 'body' | 'eom-before-reply' | 'eom-after-accept' | 'after-reply'

/** When a reply is given: to RCPT, to DATA, or after the content (for the whole transaction). */
export type ReplyStage = 'rcpt' | 'data' | 'content'

/** What to do for a recipient; `times` null: always, else so often a message and then accept. */
export type RecipientPlan =
  | { readonly kind: 'accept' }
  | {
      readonly kind: 'reply'
      readonly at: ReplyStage
      readonly reply: SmtpReply
      readonly times: number | null
    }
  | { readonly kind: 'drop'; readonly at: DropStage; readonly times: number | null }
  | { readonly kind: 'slow'; readonly at: ReplyStage; readonly delayMs: number }
  | { readonly kind: 'greylist'; readonly waitMs: number; readonly reply: SmtpReply }
  | { readonly kind: 'tarpit'; readonly bytePauseMs: number }

/** One row of the table. */
export interface MagicAddress {
  /** As people write it, capitals for what they choose. */
  readonly form: string
  readonly text: string
  /** An address that does it. */
  readonly example: string
  readonly pattern: RegExp
  readonly plan: (match: RegExpExecArray) => RecipientPlan
}

const secondMs = 1000
const greylistMs = 60 * secondMs
const enhancedOf: Readonly<Record<number, string>> = {
  421: '4.3.2',
  450: '4.2.1',
  451: '4.3.0',
  452: '4.2.2',
  550: '5.1.1',
  551: '5.1.6',
  552: '5.2.2',
  553: '5.1.3',
  554: '5.7.1',
}

const accept: RecipientPlan = Object.freeze({ kind: 'accept' })

const always = (at: ReplyStage, code: number, enhanced: string, text: string): RecipientPlan => ({
  kind: 'reply',
  at,
  reply: smtpReply(code, enhanced, text),
  times: null,
})

/** `WORD-CODE`, `WORD-CODE-ENHANCED` of the same class, each with `+TEXT` or without. */
function replyPattern(word: string): RegExp {
  const code = '(?<code>(?<class>[45])\\d\\d)'
  const enhanced = '(?<enhanced>\\k<class>\\.\\d{1,3}\\.\\d{1,3})'
  return new RegExp(`^${word}-${code}(?:-${enhanced})?(?:\\+(?<text>.*))?$`)
}

const mailPattern = replyPattern('mail')

/** The reply that a match of such a pattern asks for. */
function chosenReply({ groups = {} }: RegExpExecArray): SmtpReply {
  const { enhanced, text = 'The address asks for this reply' } = groups
  const code = Number(groups['code'])
  return smtpReply(
    code,
    enhanced ?? enhancedOf[code] ?? `${Math.floor(code / 100)}.0.0`,
    text.replaceAll('_', ' '),
  )
}

const row = (
  form: string,
  example: string,
  pattern: RegExp,
  text: string,
  plan: (match: RegExpExecArray) => RecipientPlan,
): MagicAddress => ({ form, example, pattern, text, plan })

/** All magic addresses. */
export const magicAddresses: readonly MagicAddress[] = [
  row('accept', 'accept', /^accept$/, 'accepted, as every address that is not in this table', () => accept),
  row(
    'defer-N',
    'defer-2',
    /^defer[-+](\d{1,6})(?:\+.*)?$/,
    'RCPT gets `451 4.3.0` N times a message, then it is accepted; `defer+N` means the same',
    match => ({
      kind: 'reply',
      at: 'rcpt',
      reply: smtpReply(451, '4.3.0', 'Not now; please try again later'),
      times: Number(match[1]),
    }),
  ),
  row('defer', 'defer', /^defer(?:\+.*)?$/, 'RCPT always gets `451 4.3.0`', () =>
    always('rcpt', 451, '4.3.0', 'Not now; please try again later'),
  ),
  row('bounce', 'bounce', /^bounce(?:\+.*)?$/, 'RCPT gets `550 5.1.1`: no such mailbox', () =>
    always('rcpt', 550, '5.1.1', 'There is no such mailbox here'),
  ),
  row(
    'bounce-CODE, bounce-CODE-ENHANCED, with +TEXT',
    'bounce-550-5.7.1+not_wanted_here',
    replyPattern('bounce'),
    'RCPT gets this reply; underscores in the text become spaces',
    match => ({ kind: 'reply', at: 'rcpt', reply: chosenReply(match), times: null }),
  ),
  row(
    'data-CODE, data-CODE-ENHANCED, with +TEXT',
    'data-451',
    replyPattern('data'),
    'RCPT is accepted, DATA gets this reply',
    match => ({ kind: 'reply', at: 'data', reply: chosenReply(match), times: null }),
  ),
  row(
    'content-CODE, content-CODE-ENHANCED, with +TEXT',
    'content-554-5.6.0',
    replyPattern('content'),
    'this reply after the content, for every recipient of the transaction',
    match => ({ kind: 'reply', at: 'content', reply: chosenReply(match), times: null }),
  ),
  row(
    'slow-SECONDS',
    'slow-30',
    /^slow-(\d{1,5})(?:\+.*)?$/,
    'the reply to RCPT comes after so many seconds',
    match => ({ kind: 'slow', at: 'rcpt', delayMs: Number(match[1]) * secondMs }),
  ),
  row(
    'slow-data-SECONDS, slow-content-SECONDS',
    'slow-content-30',
    /^slow-(data|content)-(\d{1,5})(?:\+.*)?$/,
    'the reply to DATA or to the content comes after so many seconds',
    match => ({ kind: 'slow', at: match[1] as 'data' | 'content', delayMs: Number(match[2]) * secondMs }),
  ),
  row(
    'drop-STAGE, drop-STAGE-N',
    'drop-data-1',
    /^drop-(rcpt|data|body|eom-before-reply|eom-after-accept|after-reply)(?:-(\d{1,6}))?(?:\+.*)?$/,
    'the connection is cut (N times a message, then it is accepted) at `rcpt`, `data`, `body` (inside of the content), ' +
      '`eom-before-reply` (all of the content came, nothing is kept, no reply), `eom-after-accept` (kept, and still no ' +
      'reply) or `after-reply` (kept and confirmed)',
    match => ({
      kind: 'drop',
      at: match[1] as DropStage,
      times: match[2] === undefined ? null : Number(match[2]),
    }),
  ),
  row(
    'tarpit',
    'tarpit',
    /^tarpit(?:\+.*)?$/,
    'from RCPT on replies leave a byte every 100 ms (under TLS: as late, but in one piece)',
    () => ({ kind: 'tarpit', bytePauseMs: 100 }),
  ),
  row(
    'greylist',
    'greylist',
    /^greylist(?:\+.*)?$/,
    'RCPT gets `451 4.7.1` until a minute after the first try of this message (sender, recipient, client, and ENVID or SIZE)',
    () => ({
      kind: 'greylist',
      waitMs: greylistMs,
      reply: smtpReply(451, '4.7.1', 'Greylisted; please try again in a minute'),
    }),
  ),
  row('full', 'full', /^full(?:\+.*)?$/, 'RCPT gets `452 4.2.2`: the mailbox is full at the moment', () =>
    always('rcpt', 452, '4.2.2', 'The mailbox is full; please try again later'),
  ),
  row(
    'over-quota',
    'over-quota',
    /^over-quota(?:\+.*)?$/,
    'RCPT gets `552 5.2.2`: the mailbox is full for good',
    () => always('rcpt', 552, '5.2.2', 'The mailbox is over its quota'),
  ),
  row('disabled', 'disabled', /^disabled(?:\+.*)?$/, 'RCPT gets `550 5.2.1`: the mailbox is closed', () =>
    always('rcpt', 550, '5.2.1', 'This mailbox is closed and takes no mail'),
  ),
  row('spam', 'spam', /^spam(?:\+.*)?$/, '`554 5.7.1` after the content: taken for spam', () =>
    always('content', 554, '5.7.1', 'Refused: our filter takes this message for spam'),
  ),
  row(
    'blocked',
    'blocked',
    /^blocked(?:\+.*)?$/,
    'RCPT gets `550 5.7.1`: the client’s address is blocked',
    () => always('rcpt', 550, '5.7.1', 'Refused: your IP address is on our block list'),
  ),
  row(
    'rate-limited',
    'rate-limited',
    /^rate-limited(?:\+.*)?$/,
    'RCPT gets `421 4.7.28` and the connection is closed: too much mail from this client',
    () => always('rcpt', 421, '4.7.28', 'You send too fast; please slow down and try again later'),
  ),
  row(
    'large-replies',
    'large-replies',
    /^large-replies(?:\+.*)?$/,
    'RCPT gets `550 5.1.1` in 500 lines of 400 characters',
    () =>
      always(
        'rcpt',
        550,
        '5.1.1',
        Array.from({ length: 500 }, (_, i) => `line ${i} `.padEnd(400, 'x')).join('\n'),
      ),
  ),
]

/** First word of the local part → the rows that begin with it, so that ordinary addresses cost one look-up. */
const byWord: ReadonlyMap<string, readonly MagicAddress[]> = Map.groupBy(
  magicAddresses,
  magic => /^[a-z]+/.exec(magic.example)?.[0] ?? '',
)

/** What a recipient with this local part asks for. */
export function recipientPlan(localPart: string): RecipientPlan {
  const lower = localPart.toLowerCase()
  const wordEnd = lower.search(/[^a-z]/)
  const rows = byWord.get(wordEnd < 0 ? lower : lower.slice(0, wordEnd))
  if (rows === undefined) return accept
  for (const { pattern, plan } of rows) {
    // Matched as given, so that a text keeps its capitals.
    const match = pattern.exec(lower) === null ? null : (pattern.exec(localPart) ?? pattern.exec(lower))
    if (match !== null) return plan(match)
  }
  return accept
}

/** `mail-CODE` and `mail-CODE-ENHANCED` as the local part of the reverse-path: the reply to MAIL; else null. */
export function senderReply(localPart: string): SmtpReply | null {
  const match = mailPattern.exec(localPart.toLowerCase())
  return match === null ? null : chosenReply(match)
}

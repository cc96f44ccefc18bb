// Makes the outcome value: from a reply, a failed host, a failed plan, or a decision of ours.
//
// Place on the path: the one place where outcomes are created; from here they go unchanged into store, event and DSN.
// Each comes with the conversation lines of its event: all of it for failures, two short lines for a delivery.
// Invariant: no text of an outcome holds a control character or a line end.

import type { Outcome, OutcomeKind, OutcomeStage } from '../events/index.ts'
import type { RecipientResult, TransactionStage } from '../protocol/smtp/client/index.ts'
import type { SmtpReply } from '../protocol/smtp/index.ts'
import type { LeasedMessage, LeasedRecipient, WaitReason } from '../queue/index.ts'
import { type Category, classifyReply } from './classify/index.ts'
import type { Connection } from './connection.ts'
import { type HostFailure, mostTelling } from './host-failure.ts'
import type { LocalFailure } from './local-failure.ts'
import { oneLine } from './one-line.ts'
import type { ResolveFailure, ResolveFailureReason } from './resolve/index.ts'

/** An outcome for a recipient, with the lines of its event. */
export interface RecipientOutcome {
  readonly recipient: LeasedRecipient
  readonly outcome: Outcome
  readonly conversation: readonly string[]
  /** Why the recipient waits when it is deferred; `next-attempt` by default. */
  readonly waitReason?: WaitReason
}

const lineCharactersMax = 300
const linesMax = 12
/** Of a reply, all its lines: it is kept in the event of every recipient, and a server can send 64 KiB with each reply. */
const textCharactersMax = 2000

/** The peer's words in one line; the reader has made all of them printable but TAB. */
export function replyText({ lines }: SmtpReply): string {
  const whole = lines.length === 1 ? lines[0]! : lines.join(' ')
  const text = whole.length > textCharactersMax ? `${whole.slice(0, textCharactersMax)}…` : whole
  return text.includes('\t') ? text.replaceAll('\t', ' ') : text
}

/** The peer took responsibility. Hot path: two concatenations. */
export function delivered(
  recipient: LeasedRecipient,
  reply: SmtpReply,
  connection: Connection,
  atMs: number,
): RecipientOutcome {
  const text = replyText(reply)
  const outcome: Outcome = {
    kind: 'delivered',
    code: reply.code,
    enhancedCode: reply.enhanced,
    text,
    remoteHost: connection.host,
    remoteAddress: connection.remoteAddress,
    stage: 'data',
    tls: connection.tls,
    category: 'delivered',
    scope: 'recipient',
    source: 'reply',
    atMs,
    isUncertain: recipient.isUncertain,
  }
  return { recipient, outcome, conversation: [connection.line, `< ${reply.code} ${reply.enhanced} ${text}`] }
}

const stageOf: Readonly<Record<TransactionStage, OutcomeStage>> = {
  mail: 'mail',
  rcpt: 'rcpt',
  data: 'data',
  content: 'data',
  eom: 'data',
}

/** What a smarthost says of our configuration: mending it must not come too late for the mail. */
const ofOurConfiguration: ReadonlySet<Category> = new Set<Category>(['credentials', 'tls', 'relay-denied'])

/** The peer refused: now (4xx) or for good (5xx, unless the rule says that it means later). */
export function refusedByReply(
  recipient: LeasedRecipient,
  message: LeasedMessage,
  result: RecipientResult & { readonly reply: SmtpReply },
  connection: Connection,
  atMs: number,
): RecipientOutcome {
  const { reply } = result
  const stage = stageOf[result.stage]
  const text = replyText(reply)
  const found = classifyReply({
    code: reply.code,
    enhanced: reply.enhanced,
    text,
    site: connection.site,
    stage,
  })
  const isOurs = connection.isSmarthost && ofOurConfiguration.has(found.category)
  const isPermanent = reply.code >= 500 && !found.isTemporary && !isOurs
  const outcome: Outcome = {
    kind: isPermanent ? 'bounced' : 'deferred',
    code: reply.code,
    enhancedCode: reply.enhanced,
    text,
    remoteHost: connection.host,
    remoteAddress: connection.remoteAddress,
    stage,
    tls: connection.tls,
    category: found.category,
    scope: isOurs ? 'configuration' : found.scope,
    source: 'reply',
    atMs,
    isUncertain: recipient.isUncertain,
  }
  const conversation = [
    connection.line,
    ...commandLines(message, recipient, result.stage),
    line(`< ${reply.code} ${reply.enhanced} ${text}`),
  ]
  return { recipient, outcome, conversation }
}

function commandLines(message: LeasedMessage, recipient: LeasedRecipient, stage: TransactionStage): string[] {
  const lines = [line(`> MAIL FROM:<${message.sentReversePath}>`)]
  if (stage !== 'mail') lines.push(line(`> RCPT TO:<${recipient.forwardPath}>`))
  if (stage === 'data') lines.push('> DATA')
  if (stage === 'content' || stage === 'eom') lines.push(`> ${message.sizeBytes} bytes of content`)
  return lines
}

/** A decision of ours, with the connection it was made on, if any. */
export function decidedHere(
  recipient: LeasedRecipient,
  failure: LocalFailure,
  connection: Connection | null,
  atMs: number,
  isUncertain: boolean,
): RecipientOutcome {
  const text = oneLine(failure.text)
  const outcome: Outcome = {
    kind: failure.code >= 500 ? 'bounced' : 'deferred',
    code: failure.code,
    enhancedCode: failure.enhanced,
    text,
    remoteHost: connection?.host ?? '',
    remoteAddress: connection?.remoteAddress ?? '',
    stage: failure.stage,
    tls: connection?.tls ?? '',
    category: failure.category,
    scope: failure.scope,
    source: 'local',
    atMs,
    isUncertain: isUncertain || recipient.isUncertain,
  }
  return {
    recipient,
    outcome,
    conversation: [...(connection === null ? [] : [connection.line]), line(text)],
    ...(failure.waitReason === undefined ? {} : { waitReason: failure.waitReason }),
  }
}

/** No host took us: the most telling failure decides; bounced only when all of them are permanent. */
export function noHost(
  recipient: LeasedRecipient,
  failures: readonly HostFailure[],
  atMs: number,
): RecipientOutcome {
  const best = mostTelling(failures)
  const outcome: Outcome = {
    kind: best?.isPermanent === true ? 'bounced' : 'deferred',
    code: best?.code ?? 451,
    enhancedCode: best?.enhanced ?? '4.4.1',
    text: best?.text ?? 'no host could be tried',
    remoteHost: best?.remoteHost ?? '',
    remoteAddress: best?.remoteAddress ?? '',
    stage: best?.stage ?? 'connect',
    tls: best?.tls ?? '',
    category: best?.category ?? 'connect-failed',
    scope: best?.scope ?? 'domain',
    source: best?.source ?? 'local',
    atMs,
    isUncertain: recipient.isUncertain,
  }
  const conversation = failures.slice(0, linesMax).map(one => {
    const note = one.isRemembered === true ? ' (not tried again so soon)' : ''
    return line(`${one.remoteHost} ${one.remoteAddress} ${one.stage}${note}: ${one.code} ${one.text}`)
  })
  const waitReason = best?.isOurs === true ? 'next-attempt' : 'site-unreachable'
  return { recipient, outcome, conversation, waitReason }
}

const resolveCategories: Readonly<Record<ResolveFailureReason, string>> = {
  'bad-domain': 'unknown-domain',
  nxdomain: 'unknown-domain',
  'no-records': 'unknown-domain',
  'null-mx': 'domain-takes-no-mail',
  'no-address': 'routing',
  loop: 'loop',
  'private-address': 'routing',
  'smarthost-unusable': 'routing',
  'smarthost-loop': 'loop',
  'dns-failure': 'dns-failure',
  aborted: 'dns-failure',
}

/** There is no plan for the recipient's domain. */
export function noPlan(recipient: LeasedRecipient, failure: ResolveFailure, atMs: number): RecipientOutcome {
  const text = oneLine(failure.text)
  const outcome: Outcome = {
    kind: failure.isPermanent ? 'bounced' : 'deferred',
    code: failure.code,
    enhancedCode: failure.enhancedCode,
    text,
    remoteHost: '',
    remoteAddress: '',
    stage: 'resolve',
    tls: '',
    category: resolveCategories[failure.reason],
    scope: failure.scope,
    source: 'local',
    atMs,
    isUncertain: recipient.isUncertain,
  }
  return { recipient, outcome, conversation: [line(`${failure.domain} resolve: ${text}`)] }
}

/** The same outcome with another kind: a deferral past the expiry. The last reply's words stay. */
export function asKind(outcome: Outcome, kind: OutcomeKind): Outcome {
  return { ...outcome, kind }
}

function line(text: string): string {
  return text.length > lineCharactersMax ? `${text.slice(0, lineCharactersMax)}…` : text
}

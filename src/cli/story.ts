// The human form of `message show`: recipients in a table, then everything that happened, in order.
//
// Texts of peers are shown as they are, with controls made visible; an event of a type that is not known here is shown
// by its name, so that an older program can read a newer server.

import type { RecipientJson } from '../api/control/index.ts'
import type { EventJson, OutcomeJson, SignatureJson } from '../events/index.ts'
import { formatTable } from './table.ts'
import { counted, type Paint, plain, type Tone } from './text.ts'

/** What `message show --json` prints. */
export interface ShownMessage {
  readonly id: string
  /** Name of the account. */
  readonly account: string | null
  readonly accountId: string | null
  readonly reversePath: string
  readonly acceptedAt: string
  readonly expiresAt: string | null
  readonly sizeBytes: number
  /** There were more events than are shown. */
  readonly isTruncated: boolean
  readonly recipients: readonly RecipientJson[]
  readonly events: readonly ToldEvent[]
}

/** The facts of all types together; each event has those of its own. */
interface Facts {
  readonly forwardPath?: string
  readonly outcome?: OutcomeJson
  readonly attempt?: number
  readonly nextAttemptAt?: string | null
  readonly conversation?: readonly string[]
  readonly signedBy?: readonly SignatureJson[]
  readonly clientAddress?: string
  readonly helloName?: string
  readonly door?: string
  readonly username?: string
  readonly tls?: string
  readonly headerMessageId?: string
  readonly by?: string
  readonly note?: string
  readonly code?: number
  readonly enhancedCode?: string
  readonly text?: string
}

/** An event with the facts that a story tells. */
export type ToldEvent = EventJson & Facts

const tones: Readonly<Record<string, Tone>> = {
  delivered: 'good',
  deferred: 'careful',
  held: 'careful',
  bounced: 'bad',
  expired: 'bad',
  suppressed: 'bad',
  cancelled: 'bad',
}

/** The whole story of a message. */
export function tellStory(message: ShownMessage, paint: Paint): string {
  const { id, account, reversePath, sizeBytes, expiresAt, isTruncated } = message
  const head = [
    `${paint('strong', id)}`,
    `from      ${reversePath === '' ? '<> (null reverse-path)' : plain(reversePath)}`,
    `account   ${account ?? 'unknown'}`,
    `size      ${counted(sizeBytes, 'byte')}`,
    ...(expiresAt === null ? [] : [`expires   ${expiresAt}`]),
  ]
  const recipients = formatTable(
    [
      { title: 'RECIPIENT', cell: (one: RecipientJson) => one.forwardPath },
      { title: 'STATE', cell: one => ({ text: one.state, tone: tones[one.state] ?? 'plain' }) },
      { title: 'ATTEMPTS', cell: one => String(one.attempts), isRight: true },
      { title: 'WHY', cell: one => why(one) },
    ],
    message.recipients,
    paint,
    'no recipients are known any more',
  )
  const several = message.recipients.length > 1
  const story = message.events.flatMap(event => tellEvent(event, several, paint))
  const end = isTruncated ? [paint('careful', 'there are more events than are shown')] : []
  return `${head.join('\n')}\n\n${recipients}\n${[...story, ...end].join('\n')}\n`
}

function why({ waitReasons, outcome }: RecipientJson): string {
  const waits = waitReasons.map(({ detail }) => detail).join('; ')
  if (waits !== '') return waits
  return outcome === null ? '' : `${outcome.category} (${outcome.scope})`
}

/** The lines of one event. */
function tellEvent(event: ToldEvent, several: boolean, paint: Paint): string[] {
  const { at, type } = event
  const whom = several && event.forwardPath !== undefined ? ` ${event.forwardPath}` : ''
  const [first = '', ...more] = sentences(event)
  const lines = [
    `${paint('quiet', at)}  ${paint(tones[type] ?? 'strong', type)}${plain(`${whom} ${first}`).trimEnd()}`,
  ]
  return [...lines, ...more.map(text => paint('quiet', `    ${plain(text)}`))]
}

function sentences(event: ToldEvent): string[] {
  if (event.type === 'accepted') return accepted(event)
  if (event.outcome !== undefined) return outcomeLines(event, event.outcome)
  if (event.type === 'rejected') return [`${event.code} ${event.enhancedCode} ${event.text}`]
  if (event.by === undefined) return []
  return [`by ${event.by}${event.note ? `: ${event.note}` : ''}`]
}

function accepted(event: ToldEvent): string[] {
  const { clientAddress, helloName, door, username, tls, headerMessageId, signedBy = [] } = event
  const who = username ? ` as ${username}` : ''
  const how = tls ? ` over ${tls}` : door === 'smtp' ? ' in the clear' : ''
  const from = clientAddress ? ` from ${helloName ? `${helloName} ` : ''}[${clientAddress}]` : ''
  return [
    `by ${door}${from}${who}${how}`,
    ...(headerMessageId ? [`Message-ID ${headerMessageId}`] : []),
    signedBy.length > 0 ? `signed by ${signers(signedBy)}` : 'not signed when it was accepted',
  ]
}

/** As in the DKIM-Signature fields. */
function signers(signedBy: readonly SignatureJson[]): string {
  return signedBy.map(({ domain, selector }) => `d=${domain} s=${selector}`).join(', ')
}

function outcomeLines(event: ToldEvent, outcome: OutcomeJson): string[] {
  const { remoteHost, remoteAddress, tls, stage, code, enhancedCode, text, category, scope, isUncertain } =
    outcome
  const attempt = attemptText(event.attempt ?? 0, stage)
  const host = remoteHost === '' && remoteAddress === '' ? '' : ` ${remoteHost} [${remoteAddress}]`
  const reached = host === '' ? '' : `${outcome.kind === 'delivered' ? ' to' : ' at'}${host}`
  const security = host === '' ? '' : tls === '' ? ' in the clear' : ` over ${tls}`
  const reply = [code === 0 ? '' : String(code), enhancedCode, text].filter(part => part !== '').join(' ')
  const means = outcome.kind === 'delivered' ? [] : [`${stage}: ${category}, it concerns the ${scope}`]
  const doubt = isUncertain
    ? ['uncertain: the content was sent and no reply was read; it may arrive twice']
    : []
  const next = event.nextAttemptAt ? [`next attempt at ${event.nextAttemptAt}`] : []
  const said = event.conversation ?? []
  return [
    `${attempt}${reached}${security}`,
    ...(reply === '' ? [] : [reply]),
    ...means,
    ...doubt,
    ...next,
    ...said,
  ]
}

/** A decision of ours comes after attempts, not in one. */
function attemptText(attempt: number, stage: OutcomeJson['stage']): string {
  if (attempt === 0) return 'without an attempt'
  return stage === 'queue' ? `after ${counted(attempt, 'attempt')}` : `attempt ${attempt}`
}

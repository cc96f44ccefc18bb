// Packs and unpacks the facts of each event type: the log holds bytes, not JSON, so that the hot path builds none.
//
// Each packed value starts with a version byte; a reader knows every version ever written.

import { PackReader, PackWriter } from '../base/index.ts'
import type { AcceptedFacts, ActionFacts, OutcomeFacts, RejectedFacts } from './event.ts'
import type { Outcome, OutcomeKind, OutcomeScope, OutcomeStage } from './outcome.ts'

const kinds: readonly OutcomeKind[] = [
  'delivered',
  'deferred',
  'bounced',
  'expired',
  'suppressed',
  'cancelled',
]
const stages: readonly OutcomeStage[] = [
  'queue',
  'route',
  'resolve',
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'auth',
  'mail',
  'rcpt',
  'data',
]
const scopes: readonly OutcomeScope[] = [
  'recipient',
  'domain',
  'address',
  'content',
  'account',
  'configuration',
]
const sources: readonly Outcome['source'][] = ['reply', 'report', 'local']

const scratch = (): PackWriter => new PackWriter(512, false)

function writeStrings(to: PackWriter, texts: readonly string[]): void {
  to.u32(texts.length)
  for (const text of texts) to.string(text)
}

function readStrings(from: PackReader): string[] {
  return Array.from({ length: from.u32() }, () => from.string())
}

/** Packs an outcome into a writer. */
export function writeOutcome(to: PackWriter, outcome: Outcome): void {
  to.u8(kinds.indexOf(outcome.kind))
  to.u8(stages.indexOf(outcome.stage))
  to.u8(scopes.indexOf(outcome.scope))
  to.u8(sources.indexOf(outcome.source))
  to.u8(outcome.isUncertain ? 1 : 0)
  to.u32(outcome.code)
  to.number(outcome.atMs)
  to.string(outcome.enhancedCode)
  to.string(outcome.text)
  to.string(outcome.remoteHost)
  to.string(outcome.remoteAddress)
  to.string(outcome.tls)
  to.string(outcome.category)
}

/** The reverse of {@link writeOutcome}. */
export function readOutcome(from: PackReader): Outcome {
  const kind = kinds[from.u8()] ?? 'deferred'
  const stage = stages[from.u8()] ?? 'queue'
  const scope = scopes[from.u8()] ?? 'recipient'
  const source = sources[from.u8()] ?? 'local'
  const isUncertain = from.u8() === 1
  const code = from.u32()
  const atMs = from.number()
  const enhancedCode = from.string()
  const text = from.string()
  const remoteHost = from.string()
  const remoteAddress = from.string()
  const tls = from.string()
  const category = from.string()
  return {
    kind,
    code,
    enhancedCode,
    text,
    remoteHost,
    remoteAddress,
    stage,
    tls,
    category,
    scope,
    source,
    atMs,
    isUncertain,
  }
}

/** Packs one outcome on its own (the recipient's last outcome in the store). */
export function packOutcome(outcome: Outcome): Buffer {
  const to = scratch()
  writeOutcome(to, outcome)
  return to.finish()
}

/** The reverse of {@link packOutcome}. */
export function unpackOutcome(bytes: Buffer): Outcome {
  return readOutcome(new PackReader(bytes))
}

/** Packs the facts of `accepted`. */
export function packAccepted(facts: AcceptedFacts): Buffer {
  const to = scratch()
  to.u8(1)
  to.string(facts.reversePath)
  writeStrings(to, facts.forwardPaths)
  to.number(facts.sizeBytes)
  to.string(facts.clientAddress)
  to.string(facts.helloName)
  to.string(facts.door)
  to.string(facts.username)
  to.string(facts.headerMessageId)
  writeStrings(to, facts.signedBy)
  to.string(facts.tls)
  return to.finish()
}

/** The reverse of {@link packAccepted}. */
export function unpackAccepted(bytes: Buffer): AcceptedFacts {
  const from = new PackReader(bytes, 1)
  return {
    reversePath: from.string(),
    forwardPaths: readStrings(from),
    sizeBytes: from.number(),
    clientAddress: from.string(),
    helloName: from.string(),
    door: from.string(),
    username: from.string(),
    headerMessageId: from.string(),
    signedBy: readStrings(from),
    tls: from.string(),
  }
}

/** Packs the facts of `rejected`. */
export function packRejected(facts: RejectedFacts): Buffer {
  const to = scratch()
  to.u8(1)
  to.string(facts.reversePath)
  to.string(facts.forwardPath)
  to.u32(facts.code)
  to.string(facts.enhancedCode)
  to.string(facts.text)
  to.string(facts.clientAddress)
  to.string(facts.username)
  return to.finish()
}

/** The reverse of {@link packRejected}. */
export function unpackRejected(bytes: Buffer): RejectedFacts {
  const from = new PackReader(bytes, 1)
  return {
    reversePath: from.string(),
    forwardPath: from.string(),
    code: from.u32(),
    enhancedCode: from.string(),
    text: from.string(),
    clientAddress: from.string(),
    username: from.string(),
  }
}

/** Packs the facts of an outcome event. */
export function packOutcomeFacts(facts: OutcomeFacts): Buffer {
  return packBothOutcomes(facts).facts
}

/** The same, and the outcome in them as {@link packOutcome} packs it: a view, instead of packing it twice. */
export function packBothOutcomes(facts: OutcomeFacts): { readonly facts: Buffer; readonly outcome: Buffer } {
  const to = scratch()
  to.u8(1)
  to.string(facts.forwardPath)
  to.u32(facts.attempt)
  const from = to.sizeBytes
  writeOutcome(to, facts.outcome)
  const until = to.sizeBytes
  to.number(facts.nextAttemptAtMs)
  writeStrings(to, facts.conversation)
  const bytes = to.finish()
  return { facts: bytes, outcome: bytes.subarray(from, until) }
}

/** The reverse of {@link packOutcomeFacts}. */
export function unpackOutcomeFacts(bytes: Buffer): OutcomeFacts {
  const from = new PackReader(bytes, 1)
  return {
    forwardPath: from.string(),
    attempt: from.u32(),
    outcome: readOutcome(from),
    nextAttemptAtMs: from.number(),
    conversation: readStrings(from),
  }
}

/** Packs the facts of an operator's action. */
export function packAction(facts: ActionFacts): Buffer {
  const to = scratch()
  to.u8(1)
  to.string(facts.forwardPath)
  to.string(facts.by)
  to.string(facts.note)
  return to.finish()
}

/** The reverse of {@link packAction}. */
export function unpackAction(bytes: Buffer): ActionFacts {
  const from = new PackReader(bytes, 1)
  return { forwardPath: from.string(), by: from.string(), note: from.string() }
}

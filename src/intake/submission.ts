// Submission: an envelope plus content becomes a committed message. The one way in, for SMTP and HTTP alike.
//
// The plan, step by step (each refusal is a value; nothing is kept of a refused content):
//   1. gather the header block while chunks arrive (bounded);
//   2. check it: one From, own domain, no loop; take Bcc out; see whether Message-ID and Date are missing;
//   3. find the signing keys: a domain with keys and no usable key is refused, never sent unsigned;
//   4. body chunks go through the body hasher (when signing) and into memory or, when large, into segments;
//   5. at the end: long lines refused or encoded, trace and added fields built, signatures made;
//   6. commit: envelope, content and the `accepted` event in one transaction;
//   7. hand the message to delivery without reading it back, when the ready queue has room.
// Invariant: `accepted` is answered only after the store said that the commit is on disk.

import { formatMessageId, type MessageId } from '../base/index.ts'
import { packAccepted } from '../events/index.ts'
import { BodyHasher, type DkimKey } from '../protocol/auth/dkim/index.ts'
import {
  buildReceived,
  fieldsInOrder,
  HeaderCollector,
  type HeaderField,
  inBlocks,
  Pacer,
  reencodeSteps,
  runInSlices,
} from '../protocol/mail/index.ts'
import type { ContentFacts, MaybePromise } from '../protocol/smtp/index.ts'
import { leasedFrom, type NewContent, type NewMessage } from '../queue/index.ts'
import { ContentKeeper } from './content.ts'
import { type PreparedHeader, prepareHeader, readHeader } from './header.ts'
import { checkHeader, mayBeReportedTo } from './policy.ts'
import type { DoorFacts, Principal } from './principal.ts'
import { type Refusal, refuse, storeFailed } from './refusal.ts'
import type {
  SubmissionEnvelope,
  SubmissionOptions,
  SubmissionPorts,
  SubmissionResult,
  Submitter,
} from './submitter.ts'

/** One content on its way in: write*, then end or abort. */
export class Submission {
  readonly #submitter: Submitter
  readonly #ports: SubmissionPorts
  readonly #options: SubmissionOptions
  readonly #principal: Principal
  readonly #door: DoorFacts
  readonly #envelope: SubmissionEnvelope
  readonly #id: Buffer
  readonly #idText: MessageId
  #keeper: ContentKeeper
  #collector: HeaderCollector | null
  #header: PreparedHeader | null = null
  #hasher: BodyHasher | null = null
  #keys: readonly DkimKey[] = []
  #refusal: Refusal | null = null
  #isReencoded = false
  /** Of a content that stays in memory to its end. */
  #bodyBytes = 0
  #heldBytes = 0

  constructor(submitter: Submitter, principal: Principal, door: DoorFacts, envelope: SubmissionEnvelope) {
    const { ports, options } = submitter
    this.#submitter = submitter
    this.#ports = ports
    this.#options = options
    this.#principal = principal
    this.#door = door
    this.#envelope = envelope
    this.#id = ports.ids.next()
    this.#idText = formatMessageId(this.#id)
    this.#collector = new HeaderCollector(options.headerBytesMax)
    // A content whose lines may have to be encoded stays in memory to its end: its beginning changes as well.
    const inlineBytesMax = principal.longLines === 'encode' ? Number.MAX_SAFE_INTEGER : options.inlineBytesMax
    this.#keeper = new ContentKeeper(ports.spool, inlineBytesMax, submitter.copies)
  }

  /** Steps 1 to 4. After a refusal the rest is swallowed; `end` tells it. */
  write(chunk: Buffer): MaybePromise<void> {
    if (this.#refusal !== null) return
    if (this.#collector === null) return this.#body(chunk)
    const progress = this.#collector.push(chunk)
    if (progress.kind === 'more') return
    this.#collector = null
    if (progress.kind === 'too-large') {
      this.#refusal = headerTooLarge(progress.sizeBytesMax)
      return
    }
    const waits = this.#takeHeader(progress.header)
    if (progress.rest.length === 0 || this.#refusal !== null) return waits
    return waits === undefined ? this.#body(progress.rest) : waits.then(() => this.#body(progress.rest))
  }

  #body(chunk: Buffer): Promise<void> | undefined {
    if (this.#principal.longLines === 'encode' && !this.#isReencoded && !this.#hold(chunk.length))
      return undefined
    this.#hasher?.push(chunk)
    return this.#keeper.push(chunk)?.catch(error => this.#storeFailed(error))
  }

  /**
   * Room for a content that stays in memory to its end; a refusal when there is none. One that would stay there in any
   * case, since it is small, needs none.
   */
  #hold(bytes: number): boolean {
    this.#bodyBytes += bytes
    if (this.#bodyBytes <= this.#options.inlineBytesMax) return true
    const newBytes = this.#bodyBytes - this.#heldBytes
    if (this.#ports.held.take(this.#principal.account.key, newBytes, this.#heldBytes)) {
      this.#heldBytes = this.#bodyBytes
      return true
    }
    this.#refusal ??= refuse(
      'encoding-busy',
      'too many large messages whose lines may have to be encoded arrive at once; try again in a minute',
    )
    this.abort()
    return false
  }

  #release(): void {
    if (this.#heldBytes === 0) return
    this.#ports.held.release(this.#principal.account.key, this.#heldBytes)
    this.#heldBytes = 0
  }

  #takeHeader(bytes: Buffer): Promise<void> | undefined {
    const { headerBytesMax, headerFieldsMax, receivedMax, hostname } = this.#options
    const block = readHeader(bytes, headerBytesMax, headerFieldsMax)
    if ('kind' in block) {
      this.#refusal = block
      return undefined
    }
    const verdict = checkHeader(this.#ports.accounts, this.#principal, block, receivedMax)
    if (verdict.kind === 'refused') {
      this.#refusal = verdict
      return undefined
    }
    const header = prepareHeader(block, this.#idText, hostname, this.#ports.clock)
    const keys = this.#ports.signatures.keysFor(this.#principal.account.key, verdict.fromDomain)
    if ('kind' in keys) {
      this.#refusal = keys
      return undefined
    }
    this.#header = header
    this.#keys = keys
    if (keys.length > 0) this.#hasher = new BodyHasher()
    return this.#keeper.push(header.block.bytes)?.catch(error => this.#storeFailed(error))
  }

  /** The client gave up, or the engine refused the content. */
  abort(): void {
    this.#keeper.abort()
    this.#release()
  }

  /** Steps 5 to 7. */
  end(facts: ContentFacts): Promise<SubmissionResult> {
    const result = this.#finish(facts)
    return this.#principal.longLines === 'encode' ? result.finally(() => this.#release()) : result
  }

  async #finish(facts: ContentFacts): Promise<SubmissionResult> {
    if (this.#collector !== null && this.#refusal === null) {
      const bytes = this.#collector.end()
      this.#collector = null
      await this.#takeHeader(bytes)
    }
    try {
      if (this.#refusal === null) this.#refusal = await this.#fitLines(facts)
      const header = this.#header
      if (this.#refusal !== null || header === null) {
        this.abort()
        return (
          this.#refusal ??
          refuse('header-malformed', 'the content has no header; begin with From and Subject')
        )
      }
      const finished = this.#keeper.finish()
      const content = finished instanceof Promise ? await finished : finished
      return await this.#commit(header, content, facts)
    } catch (error) {
      this.#storeFailed(error)
      this.abort()
      return this.#refusal ?? storeFailed('')
    }
  }

  /** Lines over the limit: refused, or the content is encoded anew where this door allows it. */
  async #fitLines(facts: ContentFacts): Promise<Refusal | null> {
    const { longLineBytesMax, inlineBytesMax } = this.#options
    const isLong = facts.longestLineBytes > longLineBytesMax
    if (this.#principal.longLines === 'refuse')
      return isLong ? lineTooLong(facts.longestLineBytes, longLineBytesMax, encodeHint) : null
    const parts = this.#keeper.parts ?? []
    if (!isLong && this.#keeper.sizeBytes <= inlineBytesMax) return null
    const content = Buffer.concat(parts)
    this.#keeper = new ContentKeeper(this.#ports.spool, inlineBytesMax, this.#submitter.copies)
    const mode = { reason: 'longlines', lineBytesMax: longLineBytesMax } as const
    const fitted = isLong
      ? await this.#submitter.encodings.run(() => runInSlices(reencodeSteps(content, mode)))
      : unchanged
    if (fitted.kind === 'impossible') return lineTooLong(facts.longestLineBytes, longLineBytesMax, fitted.why)
    if (fitted.kind === 'unchanged') {
      await this.#keeper.push(content)
      return this.#refusal
    }
    // Judged again from the start: the header has another Content-Transfer-Encoding, the body another hash.
    this.#isReencoded = true
    this.#hasher = null
    await this.#takeHeader(fitted.header)
    const pacer = new Pacer()
    for (const block of inBlocks(fitted.body)) {
      if (this.#refusal !== null) break
      await this.#body(block)
      if (pacer.isDue) await pacer.pause()
    }
    return this.#refusal
  }

  async #commit(header: PreparedHeader, content: NewContent, facts: ContentFacts): Promise<SubmissionResult> {
    const made = this.#makePrefix(header)
    const prefix = made instanceof Promise ? await made : made
    if ('kind' in prefix) {
      this.abort()
      return prefix
    }
    const message = this.#newMessage(header, content, prefix, facts)
    const result = await this.#ports.store.accept(message)
    if (message.startState === 'leased')
      this.#ports.ready.letGo(message.accountKey, message.recipients.length, message.sizeBytes)
    if (result.kind === 'failed') {
      this.abort()
      return storeFailed(result.why)
    }
    if (message.startState === 'leased')
      this.#ports.ready.enqueue(leasedFrom(message, result.key), this.#keeper.parts)
    this.#keeper.letGo()
    return { kind: 'accepted', id: this.#idText }
  }

  /** Signatures first, then our Received, then added fields, then the content's own header. */
  #makePrefix(header: PreparedHeader): MaybePromise<Buffer | Refusal> {
    const received = this.#received()
    if (this.#keys.length === 0)
      return header.added.length === 0 ? received : Buffer.concat([received, header.added])
    const hash = (this.#hasher ?? new BodyHasher()).digest()
    const fields: HeaderField[] = [...header.addedFields, ...fieldsInOrder(header.block)]
    const withTrace = (signatures: Buffer | Refusal): Buffer | Refusal =>
      'kind' in signatures ? signatures : Buffer.concat([signatures, received, header.added])
    const signatures = this.#ports.signatures.sign(this.#keys, fields, hash)
    return signatures instanceof Promise ? signatures.then(withTrace) : withTrace(signatures)
  }

  #received(): Buffer {
    const { recipients } = this.#envelope
    const door = this.#door
    const atMs = this.#ports.clock.nowMs()
    const facts = {
      helloName: door.helloName,
      clientAddress: door.showsClientAddress ? door.clientAddress : '',
      hostname: this.#options.hostname,
      protocol: door.door === 'smtp' ? 'smtp' : 'http',
      isExtended: door.isExtended,
      hasTls: door.tls !== '',
      isAuthenticated: door.isAuthenticated,
      isSmtpUtf8: this.#envelope.isSmtpUtf8,
      id: this.#idText,
      forwardPath: recipients.length === 1 ? recipients[0]!.forwardPath : '',
      atMs,
    } as const
    return buildReceived(facts, this.#submitter.dateOf(atMs))
  }

  #newMessage(header: PreparedHeader, content: NewContent, prefix: Buffer, facts: ContentFacts): NewMessage {
    const envelope = this.#envelope
    const { account, stream, username } = this.#principal
    const now = this.#ports.clock.nowMs()
    const sizeBytes = prefix.length + content.sizeBytes
    const hasRoom = this.#ports.ready.reserve(account.key, envelope.recipients.length, sizeBytes)
    return {
      id: this.#id,
      accountKey: account.key,
      streamKey: stream.key,
      reversePath: envelope.reversePath,
      sentReversePath: envelope.reversePath,
      isEightBit: envelope.isEightBit || facts.hasEightBit,
      isSmtpUtf8: envelope.isSmtpUtf8,
      isPlain: !facts.hasDotLine && !this.#isReencoded,
      ret: envelope.ret,
      envelopeId: envelope.envelopeId,
      acceptedAtMs: now,
      expiresAtMs: now + (envelope.timeToLiveMs ?? this.#options.expireMs),
      priority: envelope.priority ?? stream.priority,
      sendsDsn:
        stream.failureReport === 'event+dsn' &&
        mayBeReportedTo(this.#ports.accounts, account, envelope.reversePath),
      prefix,
      sizeBytes,
      content,
      recipients: envelope.recipients,
      startState: hasRoom ? 'leased' : 'scheduled',
      startReason: hasRoom ? 'first-attempt' : 'ready-queue-full',
      firstAttemptAtMs: now,
      acceptedFacts: packAccepted({
        reversePath: envelope.reversePath,
        forwardPaths: envelope.recipients.map(recipient => recipient.forwardPath),
        sizeBytes,
        clientAddress: this.#door.clientAddress,
        helloName: this.#door.helloName,
        door: this.#door.door,
        username,
        headerMessageId: header.headerMessageId,
        signedBy: this.#keys.map(key => `${key.domain}=${key.selector}`),
        tls: this.#door.tls,
      }),
    }
  }

  #storeFailed(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#refusal ??= storeFailed(why)
  }
}

const unchanged = { kind: 'unchanged' } as const
const encodeHint =
  'encode the body as quoted-printable or base64, or set long_lines = "encode" for this credential'

function lineTooLong(lineBytes: number, maxBytes: number, what: string): Refusal {
  return refuse('line-too-long', `a line has ${lineBytes} bytes, the limit is ${maxBytes}; ${what}`)
}

function headerTooLarge(sizeBytesMax: number): Refusal {
  return refuse(
    'header-too-large',
    `the header is larger than ${sizeBytesMax} bytes; move content into the body`,
  )
}

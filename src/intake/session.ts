// What an SMTP session means: identifies the client, builds the envelope, feeds the submission.
//
// The engine in protocol/smtp speaks; this handler decides. One instance a connection. Phases of a transaction:
// mail (reverse-path checked) → rcpt+ (forward-paths checked) → content (a Submission) → reset.

import type { Account, AccountReader, Credential, Stream } from '../accounts/index.ts'
import type {
  ContentAcceptance,
  ContentFacts,
  ContentSink,
  MailParameters,
  MaybePromise,
  RcptParameters,
  RefusedPart,
  SaslCredentials,
  SmtpPath,
  SmtpReply,
  SmtpSessionFacts,
  SmtpSessionHandler,
} from '../protocol/smtp/index.ts'
import { smtpReply } from '../protocol/smtp/index.ts'
import { type NewRecipient, notifyBits } from '../queue/index.ts'
import type { Authenticator } from './authenticate.ts'
import type { Visit } from './listener.ts'
import { checkForwardPath, checkReversePath } from './policy.ts'
import type { DoorFacts, Principal } from './principal.ts'
import { type Refusal, refusalReply, refuse } from './refusal.ts'
import type { Submission } from './submission.ts'
import type { Submitter } from './submitter.ts'

/** The door's own settings, from its `[[listener]]`. */
export interface Door {
  /** `relay` doors take mail without AUTH from the networks that they name. */
  readonly kind: 'submission' | 'submissions' | 'relay'
  /** Is this client address inside the listener's networks? */
  isInNetworks(address: string): boolean
  /** Account of relay networks; '' when the listener names none. */
  readonly accountName: string
  readonly senders: 'own' | 'any'
  readonly longLines: 'refuse' | 'encode'
  readonly bareLf: 'refuse' | 'mend'
  readonly showsClientAddress: boolean
}

/** Told of what happens at the door, for log, metrics and the `rejected` event. */
export interface DoorObserver {
  /** `waitMs`: from the end of the content to the reply. */
  accepted(principal: Principal, door: DoorFacts, recipients: number, sizeBytes: number, waitMs: number): void
  authenticated(): void
  refused(
    refusal: Refusal,
    principal: Principal | null,
    door: DoorFacts,
    reversePath: string,
    forwardPath: string,
  ): void
  /** The protocol refused something of a client that may send. */
  refusedByProtocol(
    reply: SmtpReply,
    principal: Principal,
    door: DoorFacts,
    reversePath: string,
    forwardPath: string,
  ): void
}

/** What a session needs. */
export interface SessionPorts {
  readonly accounts: AccountReader
  readonly authenticator: Authenticator
  readonly submitter: Submitter
  readonly observer: DoorObserver
  readonly visit: Pick<Visit, 'admit' | 'identified'>
}

/** Who logged in, as it was looked up last, and what was made of that. */
interface Login {
  readonly credential: Credential
  readonly stream: Stream
  readonly principal: Principal
}

const okSender = smtpReply(250, '2.1.0', 'Sender ok')
const notLoggedIn = refuse('authentication-required', 'authentication is required')
const okRecipient = smtpReply(250, '2.1.5', 'Recipient ok')

/** The handler of one connection. */
export class SubmissionSession implements SmtpSessionHandler {
  readonly #ports: SessionPorts
  readonly #door: Door
  #facts: SmtpSessionFacts | null = null
  /** The client is in a network that the listener names; an address does not change in a session. */
  #isInNetworks = false
  /** Of the transaction. */
  #principal: Principal | null = null
  #login: Login | null = null
  #doorFacts: DoorFacts | null = null
  #describedTls: SmtpSessionFacts['tls'] = null
  #reversePath = ''
  #parameters: MailParameters | null = null
  #recipients: NewRecipient[] = []

  constructor(ports: SessionPorts, door: Door) {
    this.#ports = ports
    this.#door = door
  }

  open(session: SmtpSessionFacts): SmtpReply | null {
    this.#facts = session
    this.#isInNetworks = this.#door.isInNetworks(session.clientAddress)
    const refusal = this.#ports.visit.admit(session.clientAddress)
    return refusal === null ? null : refusalReply(refusal)
  }

  async authenticate(credentials: SaslCredentials): Promise<SmtpReply> {
    const result = await this.#ports.authenticator.authenticate(credentials, this.#facts!.clientAddress)
    if (result.kind === 'refused') {
      this.#ports.observer.refused(result, null, this.#describeDoor(), '', '')
      return refusalReply(result)
    }
    const { account, stream, credential } = result
    const principal = this.#principalOf(account, stream, credential)
    this.#login = { credential, stream, principal }
    this.#principal = principal
    this.#ports.visit.identified()
    this.#ports.observer.authenticated()
    return smtpReply(235, '2.7.0', `Authenticated for account ${account.name}`)
  }

  mail(path: SmtpPath, parameters: MailParameters): SmtpReply {
    const principal = this.#facts!.authenticatedAs === null ? this.#relayPrincipal() : this.#loggedIn()
    if (principal === null || 'code' in principal) return this.#refuseMail(principal, path)
    this.#principal = principal
    const reversePath = formatPath(path)
    const refusal = checkReversePath(this.#ports.accounts, principal, path)
    if (refusal !== null) return this.#refuse(refusal, reversePath, '')
    this.#reversePath = reversePath
    this.#parameters = parameters
    this.#recipients = []
    return okSender
  }

  rcpt(path: SmtpPath, parameters: RcptParameters): SmtpReply {
    const refusal = checkForwardPath(path)
    if (refusal !== null) return this.#refuse(refusal, this.#reversePath, formatPath(path))
    const original = parameters.originalRecipient
    this.#recipients.push({
      number: this.#recipients.length,
      forwardPath: formatPath(path),
      domain: path.domain,
      notify: notifyOf(parameters),
      originalRecipient: original === undefined ? '' : `${original.type};${original.address}`,
    })
    return okRecipient
  }

  content(): ContentAcceptance | SmtpReply {
    // Asked again: the credential may have been revoked since MAIL.
    const principal = this.#facts!.authenticatedAs === null ? this.#principal! : this.#loggedIn()
    if (principal === null || 'code' in principal)
      return this.#refuse(principal ?? notLoggedIn, this.#reversePath, this.#firstForwardPath)
    this.#principal = principal
    const parameters = this.#parameters!
    const submission = this.#ports.submitter.begin(principal, this.#describeDoor(), {
      reversePath: this.#reversePath,
      isEightBit: parameters.body === '8bitmime',
      isSmtpUtf8: parameters.isSmtpUtf8,
      ret: parameters.ret ?? '',
      envelopeId: parameters.envelopeId ?? '',
      recipients: this.#recipients,
    })
    return { sink: this.#sink(submission), bareLf: principal.bareLf }
  }

  /** Only of clients that may send: strangers must not be able to fill the log. */
  refused(part: RefusedPart, reply: SmtpReply, text: string): void {
    const principal = this.#facts!.authenticatedAs === null ? this.#relayPrincipal() : this.#loggedIn()
    if (principal === null || 'code' in principal) return
    const reversePath = part === 'mail' ? givenAddress(text) : this.#reversePath
    const first = part === 'content' ? this.#firstForwardPath : ''
    const forwardPath = part === 'rcpt' ? givenAddress(text) : first
    this.#ports.observer.refusedByProtocol(reply, principal, this.#describeDoor(), reversePath, forwardPath)
  }

  reset(): void {
    this.#parameters = null
    this.#recipients = []
    // A relay network is found anew at the next MAIL. A login lasts: STARTTLS, which would forget it, cannot come after it.
    if (this.#facts?.authenticatedAs === null) this.#principal = null
  }

  closed(): void {
    this.#principal = null
  }

  #sink(submission: Submission): ContentSink {
    return {
      write: (chunk: Buffer): MaybePromise<void> => submission.write(chunk),
      end: (facts: ContentFacts): Promise<SmtpReply> => this.#finish(submission, facts),
      abort: (): void => submission.abort(),
    }
  }

  async #finish(submission: Submission, facts: ContentFacts): Promise<SmtpReply> {
    const principal = this.#principal!
    const door = this.#describeDoor()
    const reversePath = this.#reversePath
    const recipients = this.#recipients
    const { clock } = this.#ports.submitter.ports
    const endedMs = clock.monotonicMs()
    const result = await submission.end(facts)
    if (result.kind === 'accepted') {
      this.#ports.observer.accepted(
        principal,
        door,
        recipients.length,
        facts.sizeBytes,
        clock.monotonicMs() - endedMs,
      )
      return smtpReply(250, '2.0.0', `Queued as ${result.id}`)
    }
    this.#ports.observer.refused(result, principal, door, reversePath, recipients[0]?.forwardPath ?? '')
    return refusalReply(result)
  }

  get #firstForwardPath(): string {
    return this.#recipients[0]?.forwardPath ?? ''
  }

  /** Looked up for each message (in memory): what a command changed counts in open sessions too. */
  #loggedIn(): Principal | Refusal | null {
    const { accounts } = this.#ports
    const login = this.#login
    if (login === null) return null
    const credential = accounts.credentialBySecretHash(login.credential.secretHash)
    const stream = credential === null ? null : accounts.stream(credential.streamKey)
    const account = credential === null ? null : accounts.accountByKey(credential.accountKey)
    if (credential === null || stream === null || account === null)
      return refuse(
        'authentication-required',
        `the credential ${login.credential.id} was revoked; connect again and log in with another`,
      )
    if (credential === login.credential && stream === login.stream) return login.principal
    const principal = this.#principalOf(account, stream, credential)
    this.#login = { credential, stream, principal }
    return principal
  }

  #principalOf(account: Account, stream: Stream, credential: Credential): Principal {
    return {
      account,
      stream,
      username: credential.username === 'apikey' ? credential.id : credential.username,
      senders: 'own',
      longLines: credential.longLines === 'encode' ? 'encode' : this.#door.longLines,
      bareLf: credential.bareLf === 'mend' ? 'mend' : this.#door.bareLf,
    }
  }

  /** Without AUTH: only the networks that a relay listener names, for the account that it names. */
  #relayPrincipal(): Principal | Refusal | null {
    const door = this.#door
    if (door.kind !== 'relay' || !this.#isInNetworks) return null
    const account = this.#ports.accounts.accountByName(door.accountName)
    const stream = account === null ? null : this.#ports.accounts.defaultStream(account.key)
    if (account === null || stream === null)
      return refuse(
        'account-missing',
        `this listener serves account ${door.accountName}, which does not exist; run: postrider account create ${door.accountName}`,
      )
    const { senders, longLines, bareLf } = door
    return { account, stream, username: '', senders, longLines, bareLf }
  }

  #refuseMail(refusal: Refusal | null, path: SmtpPath): SmtpReply {
    const how = this.#facts!.tls === null ? 'start TLS, then authenticate' : 'authenticate'
    const reason = refusal ?? refuse('authentication-required', `authentication is required: ${how}`)
    return this.#refuse(reason, formatPath(path), '')
  }

  #refuse(refusal: Refusal, reversePath: string, forwardPath: string): SmtpReply {
    this.#ports.observer.refused(refusal, this.#principal, this.#describeDoor(), reversePath, forwardPath)
    return refusalReply(refusal)
  }

  /** Built anew when one of the facts has changed (EHLO, STARTTLS, AUTH); between messages they hardly do. */
  #describeDoor(): DoorFacts {
    const facts = this.#facts!
    const { tls } = facts
    const isAuthenticated = facts.authenticatedAs !== null
    const known = this.#doorFacts
    if (
      known !== null &&
      known.helloName === facts.helloName &&
      known.isExtended === facts.isExtended &&
      known.isAuthenticated === isAuthenticated &&
      this.#describedTls === tls
    )
      return known
    const described: DoorFacts = {
      door: 'smtp',
      clientAddress: facts.clientAddress,
      helloName: facts.helloName,
      isExtended: facts.isExtended,
      tls: tls === null ? '' : `${tls.protocol} ${tls.cipher}`,
      isAuthenticated,
      showsClientAddress: this.#door.showsClientAddress,
    }
    this.#doorFacts = described
    this.#describedTls = tls
    return described
  }
}

function formatPath(path: SmtpPath): string {
  return path.domain === '' ? path.localPart : `${path.localPart}@${path.domain}`
}

/** The address in the argument of MAIL or RCPT that cannot be read as one, for people. */
function givenAddress(text: string): string {
  const address = /^[^:]*: *<?([^> ]*)/.exec(text)?.[1] ?? ''
  return address.slice(0, 256)
}

function notifyOf(parameters: RcptParameters): number {
  const { notify } = parameters
  if (notify === undefined) return notifyBits.notSaid
  let bits = notifyBits.never as number
  for (const word of notify) {
    if (word === 'SUCCESS') bits |= notifyBits.success
    else if (word === 'FAILURE') bits |= notifyBits.failure
    else bits |= notifyBits.delay
  }
  return bits
}

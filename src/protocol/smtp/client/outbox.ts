// The writes of one turn of the event loop, over all connections of a thread: gathered, and sent together at its end.
//
// Place on the path: between the connections (wire.ts) and their sockets. What one turn makes for a connection (the end
// of a content, the commands of the next transaction) leaves in one system call, and what must happen before any of it
// leaves (`beforeSend`: the marks of the contents that end now) happens once for all connections.
// Invariants: a connection stands in the box at most once; `beforeSend` has returned before a byte of the turn leaves.

/** A connection with bytes to send. */
export interface OutboxMember {
  /** Sends what is queued. Does not throw. */
  send(): void
}

/** One a thread. */
export class Outbox {
  readonly #beforeSend: () => void
  #members: OutboxMember[] = []
  #isPlanned = false

  /** @param beforeSend called before bytes leave; cheap when it has nothing to do. Default: nothing. */
  constructor(beforeSend: () => void = () => {}) {
    this.#beforeSend = beforeSend
  }

  /** Sends `member`'s bytes at the end of this turn. The caller adds it once between two sendings. */
  add(member: OutboxMember): void {
    this.#members.push(member)
    if (this.#isPlanned) return
    this.#isPlanned = true
    setImmediate(() => this.#sendAll())
  }

  /** To be called before bytes leave earlier than at the end of the turn. */
  prepare(): void {
    this.#beforeSend()
  }

  #sendAll(): void {
    const members = this.#members
    this.#members = []
    this.#isPlanned = false
    this.#beforeSend()
    for (const member of members) member.send()
  }
}

// What the lab's DNS server can do wrong on purpose, by name and type.
//
// A fault replaces or bends the right answer, so that the resolver's rules for bad servers are tested on
// real sockets. Faults are data, except `reply`, where a test writes the datagrams itself.

/** One deliberate misbehaviour. */
export type LabDnsFault =
  /** Answer with the SERVFAIL code. */
  | { readonly kind: 'servfail' }
  /** Answer with the REFUSED code. */
  | { readonly kind: 'refuse' }
  /** NXDOMAIN for a name that may well exist, and no SOA. */
  | { readonly kind: 'nxdomain' }
  /** NOERROR without a record. */
  | { readonly kind: 'empty' }
  /** Never answer; over TCP the connection stays open. */
  | { readonly kind: 'drop' }
  /** Right id and question, then bytes that are no DNS message. */
  | { readonly kind: 'malformed' }
  /** TC set and no records, over UDP only; TCP gives the right answer. */
  | { readonly kind: 'truncated' }
  /** The right answer under another id, then nothing. */
  | { readonly kind: 'wrong-id' }
  /** The right answer with the question in lower case, as servers that do not keep case do. */
  | { readonly kind: 'lower-case' }
  /** FORMERR to queries with EDNS, the right answer to others, as very old servers do. */
  | { readonly kind: 'no-edns' }
  /** The right answer after this many milliseconds. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Sends these datagrams (over TCP: messages) instead; gets the query and the right answer. */
  | {
      readonly kind: 'reply'
      readonly make: (query: Buffer, rightAnswer: Buffer, overTcp: boolean) => readonly Buffer[]
    }

/** A fault at a name, `*` for all names that have none of their own; without `type` for all types. */
export interface LabDnsFaultAt {
  readonly name: string
  readonly type?: string
  readonly fault: LabDnsFault
}

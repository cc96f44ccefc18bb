// The phases of a server session as one table: what is read in each, which deadline runs, what may follow.
//
// Only `SmtpServerSession` changes phase, in one setter, which asserts `next`. Waiting for a handler's promise
// is no phase: it can happen in any of them and only stops the reading.

/** Where a session stands. */
export type Phase =
  | 'arrived' // accepted, nothing done yet
  | 'proxy' // the PROXY header is awaited
  | 'admission' // the handler decides whether the client may come in
  | 'handshake' // TLS is being negotiated
  | 'opening' // one look for early talkers, then the greeting
  | 'greeted' // no HELO or EHLO yet
  | 'ready' // between transactions
  | 'sasl' // inside an AUTH dialogue
  | 'mail' // MAIL accepted, no recipient yet
  | 'rcpt' // at least one recipient accepted
  | 'data' // content up to CRLF.CRLF
  | 'chunks' // between two BDAT commands
  | 'octets' // content of one BDAT, by count
  | 'closing' // last reply written, the peer's FIN awaited
  | 'closed'

/** What a phase does with bytes that arrive. */
export type Reads = 'proxy' | 'nothing' | 'lines' | 'data' | 'octets' | 'waste'

/** Which deadline runs in a phase. */
export type Deadline = 'proxy' | 'handshake' | 'command' | 'content' | 'linger' | 'none'

/** One row of the phase table. */
export interface PhaseRow {
  readonly reads: Reads
  readonly deadline: Deadline
  /** A transaction is open: a drain lets it end first. */
  readonly isTransaction: boolean
  readonly next: readonly Phase[]
}

/** The phase table. Every phase but the last may also go to closing and closed. */
export const phaseTable: Readonly<Record<Phase, PhaseRow>> = {
  arrived: {
    reads: 'nothing',
    deadline: 'none',
    isTransaction: false,
    next: ['proxy', 'admission'],
  },
  proxy: { reads: 'proxy', deadline: 'proxy', isTransaction: false, next: ['admission'] },
  // Its only deadline is that of the handler.
  admission: { reads: 'nothing', deadline: 'none', isTransaction: false, next: ['handshake', 'opening'] },
  handshake: { reads: 'nothing', deadline: 'handshake', isTransaction: false, next: ['opening', 'greeted'] },
  opening: { reads: 'nothing', deadline: 'command', isTransaction: false, next: ['greeted'] },
  greeted: { reads: 'lines', deadline: 'command', isTransaction: false, next: ['ready', 'octets'] },
  ready: {
    reads: 'lines',
    deadline: 'command',
    isTransaction: false,
    next: ['ready', 'handshake', 'sasl', 'mail', 'octets'],
  },
  sasl: { reads: 'lines', deadline: 'command', isTransaction: false, next: ['ready', 'sasl'] },
  mail: { reads: 'lines', deadline: 'command', isTransaction: true, next: ['ready', 'rcpt', 'octets'] },
  rcpt: {
    reads: 'lines',
    deadline: 'command',
    isTransaction: true,
    next: ['ready', 'rcpt', 'data', 'octets'],
  },
  data: { reads: 'data', deadline: 'content', isTransaction: true, next: ['ready'] },
  chunks: { reads: 'lines', deadline: 'command', isTransaction: true, next: ['ready', 'octets'] },
  octets: {
    reads: 'octets',
    deadline: 'content',
    isTransaction: true,
    // A refused BDAT is swallowed and leaves the session where it was.
    next: ['greeted', 'ready', 'mail', 'rcpt', 'chunks'],
  },
  closing: { reads: 'waste', deadline: 'linger', isTransaction: false, next: [] },
  closed: { reads: 'waste', deadline: 'none', isTransaction: false, next: [] },
}

/** True when the table allows the step. */
export function mayFollow(from: Phase, to: Phase): boolean {
  if (from === 'closed') return false
  return to === 'closed' || to === 'closing' || phaseTable[from].next.includes(to)
}

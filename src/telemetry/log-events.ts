// The vocabulary of the log: every event that may be written, with its level and what it means.
//
// Place on the path: off it. Names are stable: operators search and alert by them. A new event gets a line here first,
// which also puts it into the reference page. What happened to a message is in the event log, not here: messages and
// attempts are logged at debug only.

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** One kind of log line. */
export interface LogEventKind {
  readonly level: LogLevel
  /** When it is written, for the reference page. */
  readonly text: string
}

/** By stable name. */
export const logEvents = {
  'server.starting': { level: 'info', text: 'The process begins; `config` and `dataDir` say which.' },
  'server.ready': { level: 'info', text: 'All doors are open.' },
  'server.draining': { level: 'info', text: 'Shutdown began: no new sessions, those in flight finish.' },
  'server.stopped': { level: 'info', text: 'Everything is closed; `code` is the exit code.' },
  'server.cut-off': {
    level: 'error',
    text: 'Closing took too long, `afterMs`: the process ends with `code` as it is. Nothing accepted is lost.',
  },
  'server.failed': { level: 'error', text: 'The process ends because something it cannot do without broke.' },
  'loop.late': {
    level: 'warn',
    text: 'The event loop of this thread did not turn for 200 ms and more (`lateMs`): its sessions and attempts waited. `cpuMs` is what the thread computed in that time: where it is far less, the machine had no core for it, or stood still.',
  },
  'config.reloaded': { level: 'info', text: 'SIGHUP: the new configuration is in force.' },
  'config.refused': {
    level: 'error',
    text: 'SIGHUP: the new configuration has problems (`problems`), or could not be put in force (`err`); the old one stays.',
  },
  'config.warning': {
    level: 'warn',
    text: 'Something in the configuration works, and is probably not meant so.',
  },
  'tls.reloaded': { level: 'info', text: 'The certificate was read anew; `notAfter` is its end.' },
  'tls.refused': { level: 'error', text: 'The new certificate cannot be used; the old one stays.' },
  'tls.rotation-failed': {
    level: 'error',
    text: 'The daily change of the keys of TLS session tickets failed (`err`): the old ones stay until the next day or reload.',
  },
  'listener.open': { level: 'info', text: 'A door is open at `address`.' },
  'listener.accept-failed': {
    level: 'error',
    text: 'The door at `address` was told that accept failed (`code`); it stays open. Want of descriptors is `descriptors.none-left`. Twenty lines in ten seconds; `leftOut` counts the rest.',
  },
  'listener.account-missing': {
    level: 'warn',
    text: 'The listener at `address` names an account that does not exist: MAIL from its networks is answered 451. Told at the start and at each reload.',
  },
  'session.fault': {
    level: 'error',
    text: 'A fault of ours in a session: the client got 451; `during` says where. Twenty lines in ten seconds, in each thread; `leftOut` counts the rest.',
  },
  'session.refused': {
    level: 'info',
    text: 'A connection was turned away before the greeting; `reason` says why. Twenty lines a reason in ten seconds, in each thread; `leftOut` counts the rest.',
  },
  'session.cut-off': {
    level: 'info',
    text: 'A session was ended for what its client did or did not do, such as `starttls-injection` (bytes behind STARTTLS), `pipelining`, `early-talker`, `not-smtp`, `flood`, `errors`, `content-slow` or `tls-failed`; `reason` says which. Sessions that are only idle are not told. Twenty lines a reason in ten seconds; `leftOut` counts the rest.',
  },
  'auth.failed': {
    level: 'warn',
    text: 'A login from `clientAddress` failed. Neither secret nor password is written, nor which of name and secret was wrong. Twenty lines in ten seconds, in each thread; `leftOut` counts the rest, and `postrider_logins_total` all.',
  },
  'message.accepted': { level: 'debug', text: 'A message is on disk and was answered 250.' },
  'message.rejected': {
    level: 'info',
    text: 'A message or recipient was refused; `reason` is the code of the refusal, or `protocol` when the SMTP engine refused it to a client that may send; `signing-failed` with an `id`: at an attempt, which sends nothing then. Twenty lines a reason in ten seconds; `leftOut` counts the rest.',
  },
  'attempt.finished': { level: 'debug', text: 'A delivery attempt ended; the event log has its outcome.' },
  'attempt.fault': {
    level: 'error',
    text: 'A fault of ours beside an attempt, for instance a report that could not be made or signed. Twenty lines in ten seconds; `leftOut` counts the rest.',
  },
  'dns.server-down': { level: 'warn', text: 'A DNS server does not answer; the others are asked.' },
  'dns.not-believed': {
    level: 'error',
    text: 'The DNS servers say that something does not exist, and tell nothing above it, not even the root; `why` says what they said: mail is deferred. Once a minute.',
  },
  'dns.servers-changed': {
    level: 'info',
    text: 'SIGHUP: other DNS servers are asked from now on, `servers` instead of `before`.',
  },
  'dns.server-up': { level: 'info', text: 'A DNS server answers again.' },
  'store.slow': { level: 'warn', text: 'A commit took longer than a second; told once a minute at most.' },
  'store.failed': {
    level: 'error',
    text: 'The store cannot write, and messages are answered 452 until it can; or it has not answered for ten seconds (a disk that stands still), and neither are they. `why` says which. Told at once, then once a minute. With `during` and `err`: housekeeping could not be done, and is tried again in an hour.',
  },
  'store.wal-grows': {
    level: 'error',
    text: 'The write-ahead log cannot be copied into the database and grows; nothing is lost yet. Once a minute.',
  },
  'store.segments-kept': {
    level: 'warn',
    text: 'The lock by which a backup keeps segments cannot be tried (`why`), so that none is deleted; `hint` says what mends it. Told once.',
  },
  'store.writes-again': {
    level: 'info',
    text: 'The store writes again, or answers again, after `refusedForMs`.',
  },
  'descriptors.none-left': {
    level: 'error',
    text: 'This process (`code` EMFILE) or the machine (ENFILE) has no file descriptor left: new connections are closed unheard, what is open goes on. Told at once, then once a minute.',
  },
  'descriptors.free-again': {
    level: 'info',
    text: 'There are file descriptors again, after `refusedForMs`.',
  },
  'clock.jumped': {
    level: 'warn',
    text: 'The wall clock was set, or the machine slept: the times of waiting mail were moved along by `byMs`.',
  },
  'operator.action': {
    level: 'info',
    text: 'A command over the control socket changed something: `command` says what, with its `filter` and counts or the ids of what it made. Never a secret. `isWhole` false: a queue action ended before all was done.',
  },
  'lab.ready': { level: 'info', text: 'The lab is up; mail to `.test` goes there.' },
  'first-run.ready': { level: 'info', text: 'A first account, domain and credential were made.' },
} as const

/** The stable name of a log event. */
export type LogEventName = keyof typeof logEvents

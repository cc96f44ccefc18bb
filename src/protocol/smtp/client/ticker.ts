// The shared coarse clock that deadlines hang on.
//
// A relay thread has one timer for all its connections instead of one a message: it calls `tick` on every member
// about once a second. A deadline therefore fires up to one tick late, which no SMTP timeout minds.

/** Something that looks at its deadlines when told the time. */
export interface SmtpTicking {
  /** `nowMs`: monotonic milliseconds. */
  tick(nowMs: number): void
}

/** A set of things that want to be ticked; a plain `Set<SmtpTicking>` iterated by one interval will do. */
export interface SmtpTicker {
  add(member: SmtpTicking): void
  delete(member: SmtpTicking): void
}

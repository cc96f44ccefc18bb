// A check of `postrider doctor`: one line of its report.

/** `fail`: the server will not start or not work; `warn`: it works, and somebody should know. */
export type CheckState = 'ok' | 'warn' | 'fail'

export interface Check {
  readonly name: string
  readonly state: CheckState
  /** What was found. */
  readonly text: string
  /** What to do; '' when all is well. */
  readonly hint: string
}

/** All is well. */
export function good(name: string, text: string): Check {
  return { name, state: 'ok', text, hint: '' }
}

export function warn(name: string, text: string, hint: string): Check {
  return { name, state: 'warn', text, hint }
}

export function bad(name: string, text: string, hint: string): Check {
  return { name, state: 'fail', text, hint }
}

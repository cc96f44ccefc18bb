// The error that a command ends with: what is wrong, what to do next, and the exit code.

import type { ControlError } from '../api/control/index.ts'

/** Exit codes: 1 something went wrong, 2 the command line is wrong. */
export type ExitCode = 1 | 2

/** Thrown by commands, printed by {@link import('./run.ts').runCli}. */
export class CliError extends Error {
  override readonly name = 'CliError'
  /** Stable word for programs. */
  readonly code: string
  /** What to do next; '' when there is nothing to say. */
  readonly hint: string
  readonly exitCode: ExitCode

  constructor(error: ControlError, exitCode: ExitCode = 1) {
    super(error.message)
    this.code = error.code
    this.hint = error.hint
    this.exitCode = exitCode
  }
}

/** The same with the words one after another. */
export function cliError(code: string, message: string, hint: string, exitCode: ExitCode = 1): CliError {
  return new CliError({ code, message, hint }, exitCode)
}

// Errors of the store as errors of the command line: the same code, with a next step.
//
// They are known by their code, since they may have crossed a thread or the control socket.

import { cliError } from './error.ts'

const hints: Readonly<Record<string, string>> = {
  PR_STORE_LOCKED: 'stop that server first',
  PR_STORE_UNWRITABLE: 'run this as the user of the server, or choose another folder',
  PR_STORE_FULL: 'make room, then run the command again',
  PR_BACKUP_TARGET: 'name a folder that is empty or does not exist',
  PR_BACKUP_SOURCE: 'name the folder that postrider backup made',
  PR_STORE_NEWER: 'use the version of Postrider that wrote it',
  PR_STORE_CORRUPT: 'restore a backup: postrider restore SOURCE --preview shows what is in one',
}

/** What to throw for anything thrown by the store. */
export function storeFailure(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (typeof code !== 'string' || !code.startsWith('PR_')) return error
  return cliError(code, String(message), hints[code] ?? 'postrider doctor looks at the data folder')
}

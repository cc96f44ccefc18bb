// The store's operational errors: what can go wrong with the data folder and the database, as one typed error.
//
// Thrown at open (the process then ends with the sentence) and by control-plane calls. On the way of a message they are
// turned into values (`AcceptResult`). `code` is for programs, `message` for people: what is wrong and what to do next.

/** Every code with what it means. */
export const storeErrorCodes = {
  PR_STORE_NEWER: 'the database was written by a newer Postrider',
  PR_STORE_FOREIGN: 'the file is not a Postrider database',
  PR_STORE_CORRUPT: 'the database is damaged',
  PR_STORE_INCOMPLETE: 'files that contents of waiting messages are in are missing',
  PR_STORE_UNWRITABLE: 'the data folder cannot be written',
  PR_STORE_LOCKED: 'another server uses the same data folder',
  PR_STORE_FULL: 'the disk is full',
  PR_STORE_IO: 'reading or writing the disk failed',
  PR_STORE_BUSY: 'the database stayed locked by another program',
  PR_STORE_REFUSED: 'the database refused a statement',
  PR_STORE_CLOSED: 'the store is closed',
  PR_BACKUP_TARGET: 'the target of a backup or restore cannot be used',
  PR_BACKUP_SOURCE: 'the source of a restore is not a backup',
  PR_BACKUP_INCOMPLETE: 'the source of a restore lacks contents of its messages',
} as const

export type StoreErrorCode = keyof typeof storeErrorCodes

/** What to do next, where the message does not say it. */
const hints: Readonly<Partial<Record<StoreErrorCode, string>>> = {
  PR_STORE_UNWRITABLE: 'run this as the user of the server, or choose another folder',
  PR_STORE_FULL: 'make room, then try again',
  PR_STORE_BUSY: 'find that program and end it, then try again',
  PR_BACKUP_TARGET: 'name a folder that is empty or does not exist',
  PR_BACKUP_SOURCE: 'name the folder that postrider backup made',
  PR_BACKUP_INCOMPLETE: 'copy the whole backup, or restore what is there with --incomplete',
  PR_STORE_NEWER: 'use the version of Postrider that wrote it',
  PR_STORE_CORRUPT: 'postrider restore SOURCE --preview shows what is in a backup',
}

/** What the store throws. Test by `code`, not by `instanceof`: it may have crossed a thread. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode
  /** After this the connection must not be used again: the process has to end (ARCHITECTURE, durability). */
  readonly isFatal: boolean

  constructor(code: StoreErrorCode, message: string, options?: { cause?: unknown; isFatal?: boolean }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.isFatal = options?.isFatal ?? false
  }

  /** A next step for people; '' when the message has it. */
  get hint(): string {
    return hints[this.code] ?? ''
  }

  /** Refused now, with nothing changed, and may work later without a restart: a full or read-only disk, a lock. */
  get isPassing(): boolean {
    return isPassingCode(this.code)
  }
}

/** True for what the store threw, also when it has crossed a thread. */
export function isStoreError(
  error: unknown,
): error is Pick<StoreError, 'code' | 'message'> & Partial<Pick<StoreError, 'hint'>> {
  const code = (error as { readonly code?: unknown } | null)?.code
  return typeof code === 'string' && Object.hasOwn(storeErrorCodes, code)
}

/** See {@link StoreError.isPassing}. */
export function isPassingCode(code: StoreErrorCode): boolean {
  return code === 'PR_STORE_FULL' || code === 'PR_STORE_BUSY' || code === 'PR_STORE_UNWRITABLE'
}

/** A StoreError as plain data, for the way across threads. */
export interface PackedStoreError {
  readonly code: StoreErrorCode
  readonly message: string
  readonly isFatal: boolean
}

/** Packs any thrown value. */
export function packError(error: unknown): PackedStoreError {
  if (error instanceof StoreError) return { code: error.code, message: error.message, isFatal: error.isFatal }
  if (error instanceof Error && 'syscall' in error)
    return { code: 'PR_STORE_IO', message: `the data folder cannot be used: ${error.message}`, isFatal: true }
  return { code: 'PR_STORE_REFUSED', message: String((error as Error)?.stack ?? error), isFatal: false }
}

/** The reverse of {@link packError}. */
export function unpackError(packed: PackedStoreError): StoreError {
  return new StoreError(packed.code, packed.message, { isFatal: packed.isFatal })
}

// What the program does itself, without asking a running server: main.ts hands it in, since the command line knows
// neither `app` nor `store`.

/** What a backup holds. */
export interface BackupSummary {
  /** RFC 3339. */
  readonly createdAt: string
  readonly messages: number
  /** Recipients that wait. */
  readonly recipients: number
}

/** A backup that is open for reading. */
export interface BackupPreview extends BackupSummary, Disposable {
  /** Milliseconds since 1970 when the oldest and newest waiting message were accepted; 0 when none waits. */
  readonly oldestAcceptedAtMs: number
  readonly newestAcceptedAtMs: number
  /** Messages whose content is not in it, and the segment files that are missing or too short. */
  readonly lacking: { readonly messages: number; readonly files: readonly string[] }
  /** The domains with the most waiting recipients, largest first. */
  domains(limit: number): readonly { readonly domain: string; readonly recipients: number }[]
}

/** The parts of the program that some commands run in this process. Each is loaded when it is called. */
export interface Application {
  /** Runs the relay until it is told to stop; gives the exit code. */
  serve(options: { readonly configPath: string | undefined }): Promise<0 | 1>
  /** Copies a data folder, also of a running server. Rejects with a store error. */
  backup(options: {
    readonly dataDir: string
    readonly target: string
    readonly nowMs: number
  }): Promise<BackupSummary>
  /** Makes a data folder out of a backup; gives how many recipients are held. Rejects with a store error. */
  restore(options: {
    readonly source: string
    readonly dataDir: string
    readonly nowMs: number
    /** Also when contents are missing. */
    readonly mayLackContents: boolean
  }): Promise<number>
  /** Opens a backup. Rejects with a store error. */
  openBackup(source: string): Promise<BackupPreview>
}

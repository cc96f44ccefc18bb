/**
 * The one shape every server under measurement has. A peer is started fresh for each run in an empty folder,
 * relays everything it accepts to the sink on 127.0.0.1, and is stopped after the run.
 */

/** STARTTLS and AUTH on the way in, STARTTLS on the way out. */
export interface SecureDoor {
  /** Files in PEM. */
  readonly certificate: string
  readonly key: string
}

export interface Login {
  readonly username: string
  readonly password: string
}

export interface PeerStartOptions {
  /** Where the sink listens on 127.0.0.1. */
  readonly sinkPort: number
  /** Sign mail of example.com with DKIM. */
  readonly isSigned: boolean
  /** Null: clear text, and no login. */
  readonly secure: SecureDoor | null
  /** Whether the load keeps its connections; some settings are better for one or the other. */
  readonly isKept: boolean
  /** An empty folder on a real disk, for configuration and queue. */
  readonly directory: string
}

export interface RunningPeer {
  /** Where it takes mail on 127.0.0.1. */
  readonly smtpPort: number
  /** What the load logs in with; null when it must not. */
  readonly login: Login | null
  /** Its top processes; their descendants are found through /proc. Empty: nothing to measure. */
  pids(): readonly number[]
  stop(): Promise<void>
}

export interface Peer {
  /** Used by `--peers` and in the results. */
  readonly name: string
  /** Shown in the table; differs when it signs. */
  title(isSigned: boolean): string
  /** The DKIM algorithms a signed message carries; empty: it cannot sign. */
  readonly signs: readonly string[]
  /** Can take part in secure loads. */
  readonly isSecurable: boolean
  /** Why it cannot run here, or undefined. May install itself (once) with `log` for progress. */
  prepare(log: (line: string) => void): Promise<string | undefined>
  start(options: PeerStartOptions): Promise<RunningPeer>
  /** Name, version and settings that matter, for the conditions of the figures. */
  version(): Promise<string>
}

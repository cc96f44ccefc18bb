// What the main thread hands a relay thread: plain data, so that it can be posted.

import type { MessagePort } from 'node:worker_threads'
import type { Config, SocketAddress, TlsMaterial } from '../config/index.ts'
import type { DoorMemory } from '../intake/index.ts'

/** Everything a relay thread starts with. */
export interface RelayData {
  readonly config: Config
  /** From 0. Thread 63 of the store's numbering is the main thread's. */
  readonly index: number
  readonly threads: number
  /** Line to the store thread; in the transfer list. */
  readonly storePort: MessagePort
  readonly tls: TlsMaterial
  /** 48 bytes that all threads share, so that TLS sessions resume in any of them. */
  readonly ticketKeys: Uint8Array
  /** A word of this process in the greeting of all its doors: by it delivery knows when it has come to one of them. */
  readonly greetingId: string
  /** What the doors of all threads count together. */
  readonly doors: DoorMemory
  /** Key of the data folder: opens the DKIM keys. */
  readonly secretKey: Uint8Array
  /** PEM of the operator's DKIM key, null when none is configured. */
  readonly operatorKeyPem: string | null
  readonly dnsServers: readonly SocketAddress[]
  /** The lab, when it is on: its DNS answers `.test`, its hosts listen on one port. */
  readonly lab: LabAddresses | null
}

/** How to reach the lab. */
export interface LabAddresses {
  readonly dnsPort: number
  readonly mxPort: number
}

/** A door that could not be had. */
export interface BindFailure {
  readonly address: SocketAddress
  /** The system's. */
  readonly code: string
}

/** What a reload may change in a running thread. */
export interface RelayReload {
  readonly config: Config
  readonly dnsServers: readonly SocketAddress[]
  readonly tls: TlsMaterial
  readonly ticketKeys: Uint8Array
}

/** The main thread's number in the store's numbering of threads. */
export const mainThreadNumber = 63

// The principal: on whose behalf a session submits, once the door knows it.
//
// Made by authentication (a credential) or by the listener (a relay network); read by policy and submission.

import type { Account, Stream } from '../accounts/index.ts'

/** Who submits, and what this door lets him do. */
export interface Principal {
  readonly account: Account
  readonly stream: Stream
  /** Username of the credential; '' for a relay network. */
  readonly username: string
  /** `any` lets a relay network use foreign addresses (smarthost clients forward bounces and foreign senders). */
  readonly senders: 'own' | 'any'
  readonly longLines: 'refuse' | 'encode'
  readonly bareLf: 'refuse' | 'mend'
}

/** Facts about the door and the client that trace and events tell. */
export interface DoorFacts {
  readonly door: 'smtp' | 'http' | 'local'
  readonly clientAddress: string
  readonly helloName: string
  readonly isExtended: boolean
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, '' for clear text. */
  readonly tls: string
  readonly isAuthenticated: boolean
  /** The Received header shows the client's address outward. */
  readonly showsClientAddress: boolean
}

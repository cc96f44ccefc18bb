// Who may send as whom: accounts, credentials, streams, domains and their DKIM keys.
//
// Every record has a public id (`acc_…`) and the store's short key. Names are unique inside their owner.

export interface Account {
  readonly key: number
  /** `acc_…` */
  readonly id: string
  /** Unique in the installation: 1 to 64 of a-z 0-9 . _ - */
  readonly name: string
  readonly createdAtMs: number
}

export interface Stream {
  readonly key: number
  readonly id: string
  readonly accountKey: number
  /** `default` exists in every account. */
  readonly name: string
  readonly kind: 'transactional' | 'broadcast'
  /** What a final failure makes: an event only, or an event and a DSN mail to the reverse-path. */
  readonly failureReport: 'event' | 'event+dsn'
  /** Lane of its messages, 0 urgent to 9; 5 by default. */
  readonly priority: number
}

/** An SMTP login or API key. The secret is shown once; the store keeps SHA-256 of it (it has 256 bits of entropy). */
export interface Credential {
  readonly key: number
  readonly id: string
  readonly accountKey: number
  readonly streamKey: number
  readonly kind: 'smtp' | 'api'
  /** `apikey` for kind api (the secret alone identifies it), a generated unique name for kind smtp. */
  readonly username: string
  readonly secretHash: Buffer
  readonly longLines: 'refuse' | 'encode'
  readonly bareLf: 'refuse' | 'mend'
  readonly createdAtMs: number
  readonly revokedAtMs: number | null
}

export interface Domain {
  readonly key: number
  readonly id: string
  readonly accountKey: number
  /** Lower-case A-label, unique in its account. */
  readonly name: string
  /** `trusted`: the operator vouches (`--trust`); `pending`: DNS proof is missing, must not send. */
  readonly status: 'trusted' | 'pending' | 'verified'
  /** False with `--no-dkim`: messages leave unsigned. */
  readonly signs: boolean
  readonly createdAtMs: number
}

/** A DKIM key. The private part is stored encrypted (AES-256-GCM with the key of the data folder). */
export interface DomainKey {
  readonly key: number
  readonly id: string
  readonly domainKey: number
  readonly selector: string
  readonly algorithm: 'rsa-sha256' | 'ed25519-sha256'
  /** PKCS#8 DER, encrypted: nonce + ciphertext + tag. */
  readonly encryptedPrivateKey: Buffer
  /** The DNS TXT value, `v=DKIM1; …`. */
  readonly publicRecord: string
  readonly status: 'active' | 'retired'
  readonly createdAtMs: number
}

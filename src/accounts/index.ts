// Accounts: who may send as whom.
export type { AccountReader, AccountStore } from './port.ts'
export type { Account, Credential, Domain, DomainKey, Stream } from './types.ts'

// Accounts: who may send as whom.
export { type DomainRecord, domainRecords } from './dns-records.ts'
export { checkDomainName } from './domain-name.ts'
export { type MaySendAs, maySendAs } from './may-send.ts'
export type { AccountReader, AccountStore } from './port.ts'
export { makeSecret } from './secret.ts'
export { loadSecretKey, SecretBox, type SecretKeyProblem, type SecretKeyResult } from './secret-box.ts'
export {
  type AccountError,
  type AccountResult,
  AccountService,
  type AccountServiceParts,
  type NewCredential,
  type NewDomain,
  type StreamChange,
} from './service.ts'
export {
  type AccountJson,
  accountJson,
  type CredentialJson,
  credentialJson,
  type DomainJson,
  domainJson,
  type NewCredentialJson,
  type StreamJson,
  streamJson,
} from './shapes.ts'
export { SigningKeys, type SigningKeysResult } from './signing-keys.ts'
export type { Account, Credential, Domain, DomainKey, Stream } from './types.ts'
export { apiUsername, type VerifyResult, verifyApiKey, verifyCredential } from './verify.ts'

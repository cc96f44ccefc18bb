// What the rest of the program may use of the DKIM code.

export { BodyHasher } from './body-hasher.ts'
export { dkimRecordName, dkimRecordText, splitTxtRecord } from './dns-record.ts'
export { oversignedNames, signedNames } from './header-canon.ts'
export {
  checkPrivateKey,
  type DkimAlgorithm,
  type DkimKey,
  dkimNamesFault,
  exportPrivateKey,
  generateDkimKey,
  importPrivateKey,
  type PrivateKeyCheck,
} from './keys.ts'
export {
  makeSignature,
  type SignatureJob,
  type SignElsewhere,
  type SignRequest,
  type SignResult,
  signMessage,
  signMessageAsync,
} from './signer.ts'

// SMTP grammar shared by server, client and API: paths, parameters, xtext.

export { type EsmtpParameter, parseParameters } from './parameters.ts'
export { nullPath, type PathAndRest, parsePath, type SmtpPath } from './path.ts'
export { decodeUtf8AddressXtext, decodeXtext, encodeXtext } from './xtext.ts'

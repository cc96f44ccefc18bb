// What the rest of intake, and the program, may use of signing.

export { SigningLine } from './line.ts'
export { type KeySource, SignatureMaker } from './maker.ts'

// How rows are packed: small numbers for words, blobs for what no query asks for.
export * from './codes.ts'
export * from './rows.ts'

// The queue: what waits, what is ready, when the next attempt is due.
export * from './message.ts'
export type * from './port.ts'

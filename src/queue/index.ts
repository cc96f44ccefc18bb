// The queue: what waits, what is ready, when the next attempt is due.
export * from './message.ts'
export type * from './port.ts'
export { LeaseLoop, type LeaseLoopOptions, type LeaseTaker } from './lease-loop.ts'
export { Settler } from './settler.ts'

// The queue: what waits, what is ready, when the next attempt is due.

export { LeaseLoop, type LeaseLoopOptions, type LeaseTaker } from './lease-loop.ts'
export { leasedFrom } from './leased-from.ts'
export * from './message.ts'
export type * from './port.ts'
export { Settler } from './settler.ts'
export { mayTake } from './share.ts'

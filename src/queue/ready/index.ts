// The ready queue: what is due now, bounded, in memory, fair.

export { type NextAttempt, nextAttempt, type RetrySchedule, retryJitterMax } from '../retry.ts'
export type { ReadyBatch } from './batch.ts'
export { Fifo } from './fifo.ts'
export { laneCount, ReadyQueue } from './ready-queue.ts'
export { Room, type RoomOptions } from './room.ts'

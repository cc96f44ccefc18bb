// How much resident memory a process takes above what it has now, at its highest: the kernel's own peak (VmHWM), so that
// nothing between two looks is missed. Linux only; elsewhere everything reads as nothing.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

export const hasProc: boolean = existsSync('/proc/self/clear_refs')

/** From its making on. */
export class MemoryPeak {
  readonly #processId: number
  readonly #calmBytes: number

  constructor(processId: number) {
    this.#processId = processId
    this.#calmBytes = statusBytes(processId, 'VmRSS')
    // Makes the peak start anew from what is resident now.
    if (hasProc) writeFileSync(`/proc/${processId}/clear_refs`, '5')
  }

  get growthBytes(): number {
    return Math.max(0, statusBytes(this.#processId, 'VmHWM') - this.#calmBytes)
  }
}

/** A size of /proc/PID/status. */
function statusBytes(processId: number, name: 'VmRSS' | 'VmHWM'): number {
  if (!hasProc) return 0
  const status = readFileSync(`/proc/${processId}/status`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]) * 1024
}

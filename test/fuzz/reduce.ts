// The smallest set of inputs that runs as much as all of them: what is worth keeping in the repository.
//
// Small inputs first; an input stays when it runs something that none before it ran. Those that fail are left out: they
// are findings, and come into the corpus by hand once they are mended.

import { Coverage } from './coverage.ts'
import type { FuzzTarget } from './target.ts'

/** Bounds of a target's corpus in the repository. */
const inputBytesMax = 1500
const inputsMax = 120
const sizeBytesMax = 16_000

/** Chooses from `inputs`; the seeds of the target need not be kept. */
export async function reduce(target: FuzzTarget, inputs: readonly Buffer[]): Promise<Buffer[]> {
  using coverage = new Coverage()
  const runs = async (input: Buffer): Promise<boolean> => {
    try {
      await target.run(input)
      return true
    } catch {
      return false
    }
  }
  for (const seed of target.seeds) await runs(Buffer.from(seed as string, 'latin1'))
  coverage.learns()
  const kept: Buffer[] = []
  let sizeBytes = 0
  const bySize = [...inputs].sort((a, b) => a.length - b.length || a.compare(b))
  for (const input of bySize) {
    if (input.length > inputBytesMax || kept.length >= inputsMax || sizeBytes > sizeBytesMax) break
    if (!(await runs(input)) || !coverage.learns()) continue
    kept.push(input)
    sizeBytes += input.length
  }
  return kept
}

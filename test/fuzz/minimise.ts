// Makes a failing input small: takes pieces out while it still fails in the same way, then makes bytes plain.

/** The smallest input found that still fails. `fails` is asked at most `triesMax` times. */
export async function minimise(
  input: Buffer,
  fails: (input: Buffer) => Promise<boolean>,
  triesMax: number = 3000,
): Promise<Buffer> {
  let smallest = input
  let tries = 0
  const isStill = async (candidate: Buffer): Promise<boolean> => {
    if (++tries > triesMax) return false
    if (!(await fails(candidate))) return false
    smallest = candidate
    return true
  }
  for (let size = Math.max(1, smallest.length >> 1); size >= 1 && tries < triesMax; size >>= 1) {
    for (let at = 0; at < smallest.length && tries < triesMax; ) {
      const candidate = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)])
      if (!(await isStill(candidate))) at += size
    }
  }
  for (let at = 0; at < smallest.length && tries < triesMax; at++) {
    if (smallest[at] === 0x61) continue
    const candidate = Buffer.from(smallest)
    candidate[at] = 0x61
    await isStill(candidate)
  }
  return smallest
}

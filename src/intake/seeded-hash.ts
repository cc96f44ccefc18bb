// A hash with a secret seed, for tables that all threads share: nobody outside can choose whose slot he meets.

/** 32 bits: FNV-1a from the seed, mixed once more so that every bit depends on all. */
export function seededHash(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return hash ^ (hash >>> 16)
}

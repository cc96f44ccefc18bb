// Names of segment files. Numbers come from the clock, grow, and are taken by an exclusive create: none is
// used twice while the server runs.

import { join } from 'node:path'

/** The folder of segment files inside a data folder. */
export function segmentDir(dataDir: string): string {
  return join(dataDir, 'segments')
}

/** The file of a segment. */
export function segmentPath(dir: string, segment: number): string {
  return join(dir, nameOf(segment))
}

/** The name of a segment's file. */
export function nameOf(segment: number): string {
  return `${segment}.seg`
}

/** The number of a segment file's name; null when the name is not one. */
export function segmentOf(fileName: string): number | null {
  if (!fileName.endsWith('.seg')) return null
  const number = Number(fileName.slice(0, -4))
  return Number.isSafeInteger(number) && number >= 0 && nameOf(number) === fileName ? number : null
}

/** The file of the lock by which a running backup asks that no segment be deleted. It stays; its lock counts. */
export function holdPath(dir: string): string {
  return join(dir, 'hold')
}

/** An operator's word that segment files which are missing at the next start are lost for good. It counts once. */
export function givenUpPath(dir: string): string {
  return join(dir, 'given-up')
}

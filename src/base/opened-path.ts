// The way to what a descriptor has open, whatever became of the name by which it was opened.
//
// For root in a folder of somebody else, who may put something else in the place of a name at any moment.

import { existsSync } from 'node:fs'

/** @param path the name by which it was opened: all there is where the system has no /proc */
export function openedPath(descriptor: number, path: string): string {
  const opened = `/proc/self/fd/${descriptor}`
  return existsSync(opened) ? opened : path
}

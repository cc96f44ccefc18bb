// Finds the fuzz targets: every `*.fuzz.ts` below src.

import { globSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FuzzTarget } from './target.ts'

const root = join(import.meta.dirname, '..', '..')

/** All targets by name. */
export async function allTargets(): Promise<FuzzTarget[]> {
  const files = globSync('src/**/*.fuzz.ts', { cwd: root }).sort()
  const modules = await Promise.all(files.map(file => import(pathToFileURL(join(root, file)).href)))
  const targets = modules.map(module => (module as { readonly target: FuzzTarget }).target)
  return targets.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** One target; undefined when there is none of that name. */
export async function findTarget(name: string): Promise<FuzzTarget | undefined> {
  return (await allTargets()).find(one => one.name === name)
}
